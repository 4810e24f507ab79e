/**
 * The pages for users, and the commands in them. A block of the language `sh` is run, by the words
 * behind `sh`:
 *
 * - none: in the page's shell, to its end, which must be a success
 * - `background until="COMMAND"`: goes on until the page's end; the next block waits for COMMAND
 * - `exits=N`: in a subshell, with that exit code
 * - `machine`: in a checkout on the machine itself, before all others: it needs the package registry
 * - `not-run: REASON`
 *
 * A block of the language `text` behind one of `sh` is its output, "..." standing for anything.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from './paths.js';

export interface Block {
  readonly language: string;
  /** The rest of the fence. */
  readonly words: string;
  readonly text: string;
  /** Where it starts, from 1. */
  readonly line: number;
}

export interface Page {
  /** Relative to the repository. */
  readonly name: string;
  readonly text: string;
  readonly blocks: readonly Block[];
}

const FENCED = /^```(\S*)([^\n]*)\n(.*?)^```$/gms;

export function readPages(): Page[] {
  const docs = readdirSync(join(REPOSITORY, 'docs'), { encoding: 'utf8', recursive: true }).filter(
    (name) => name.endsWith('.md'),
  );
  return ['README.md', ...docs.map((name) => `docs/${name}`)].map((name) => {
    const text = readFileSync(join(REPOSITORY, name), 'utf8');
    const blocks = [...text.matchAll(FENCED)].map((match) => {
      const [, language = '', words = '', content = ''] = match;
      const line = text.slice(0, match.index).split('\n').length;
      return { language, words: words.trim(), text: content, line };
    });
    return { name, text, blocks };
  });
}

/** The commands of a page, and what they are to print: by the line of the block. */
export interface Script {
  readonly script: string;
  readonly outputs: ReadonlyMap<number, RegExp>;
}

/** For bash. Each block's output comes between lines that name it. */
export function scriptOf({ blocks }: Page, prelude: string): Script {
  const parts = [prelude];
  const outputs = new Map<number, RegExp>();
  for (const [index, block] of blocks.entries()) {
    if (block.language !== 'sh') continue;
    parts.push(`echo '@@ ${block.line}'`, ...commandsOf(block));
    const next = blocks[index + 1];
    if (next?.language === 'text') outputs.set(block.line, patternOf(next.text));
  }
  return { script: `${parts.join('\n')}\necho '@@ end'\n`, outputs };
}

function commandsOf({ words, text }: Block): string[] {
  if (words === '') return [text];
  if (words === 'machine' || words.startsWith('not-run: ')) return [];
  const [, code] = /^exits=(\d+)$/.exec(words) ?? [];
  if (code !== undefined) return [`(\n${text}\n) && code=0 || code=$?; [ $code = ${code} ]`];
  const [, until] = /^background until="(.*)"$/.exec(words) ?? [];
  if (until !== undefined) {
    return [`(\n${text}\n) &`, `until ${until}; do kill -0 $!; sleep 0.1; done >/dev/null 2>&1`];
  }
  throw new Error(`unknown words behind sh: ${words}`);
}

/** Spaces count as one; "..." stands for anything. */
function patternOf(text: string): RegExp {
  const parts = text
    .trim()
    .split(/\s*\.\.\.\s*/)
    .map((part) => part.split(/\s+/).map(escaped).join('\\s+'));
  return new RegExp(parts.join('[^]*'));
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&');
}
