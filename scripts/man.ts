/** Writes dist/man: the pages of scripts/man with what --help says. mdoc(7) is their language. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Argument, Command, Help, Option } from 'commander';
import { createProgram } from '../src/parent/cli/program.js';
import { HELP_NOTE } from '../src/parent/launcher/rootlesskit.js';

const PAGES = join(import.meta.dirname, 'man');
const OUTPUT = join(import.meta.dirname, '../dist/man');

function writePage(name: string, mark: string, lines: readonly string[]): void {
  const page = readFileSync(join(PAGES, name), 'utf8');
  writeFileSync(
    join(OUTPUT, name),
    page.replace(`.\\" (${mark})`, () => lines.join('\n')),
  );
}

function commandsOf(program: Command): string[] {
  const help = program.createHelp();
  const commands = help.visibleCommands(program).filter((one) => one.name() !== 'help');
  return commands.flatMap((command) => section(command, help));
}

function section(command: Command, help: Help): string[] {
  const items = [
    ...help.visibleArguments(command).map((argument) => argumentItem(argument, help)),
    ...help.visibleOptions(command).map((option) => optionItem(option, help)),
  ];
  return [
    `.Ss ${command.name()}`,
    ...literal([help.commandUsage(command)]),
    `${text(command.description())}.`,
    '.Bl -tag -width Ds',
    ...items.flat(),
    '.El',
    ...blocks(textAfter(command)),
  ];
}

function argumentItem(argument: Argument, help: Help): string[] {
  return [`.It Ar ${text(argument.name())}`, text(help.argumentDescription(argument))];
}

function optionItem(option: Option, help: Help): string[] {
  const [, value] = /<(.+)>/.exec(option.flags) ?? [];
  const flags = [option.short, option.long].filter((flag) => flag !== undefined);
  const heads = flags.map((flag) => `Fl ${text(flag.slice(1))}`).join(' , ');
  const argument = value === undefined ? '' : ` Ar ${text(value.replace('...', ' ...'))}`;
  return [`.It ${heads}${argument}`, text(help.optionDescription(option))];
}

/** What addHelpText added. */
function textAfter(command: Command): string {
  let all = '';
  command.configureOutput({ writeOut: (part) => (all += part) }).outputHelp();
  return all.slice(command.helpInformation().length).trim();
}

/** Indented lines stay as they are, others are paragraphs. */
function blocks(words: string): string[] {
  const groups: { indented: boolean; lines: string[] }[] = [];
  for (const line of words.split('\n').filter((one) => one !== '')) {
    const indented = line.startsWith('  ');
    const last = groups.at(-1);
    if (last?.indented === indented) last.lines.push(line.trim());
    else groups.push({ indented, lines: [line.trim()] });
  }
  return groups.flatMap(({ indented, lines }) =>
    indented ? literal(lines) : ['.Pp', ...lines.map(text)],
  );
}

function literal(lines: readonly string[]): string[] {
  return ['.Bd -literal -offset indent', ...lines.map(text), '.Ed'];
}

/** HELP_NOTE has a line for each option, its description after two spaces. */
function ownOptions(): string[] {
  const options = [...HELP_NOTE.matchAll(/^ {2}-(-[\w-]+)=(\S+) +(.+)$/gm)];
  const items = options.map(
    ([, name = '', value = '', words = '']) =>
      `.It Fl ${text(name)} Ns = Ns Ar ${text(value)}\n${text(words)}`,
  );
  return ['.Bl -tag -width Ds', ...items, '.El'];
}

/** Nothing in it is taken for roff: neither backslashes, nor hyphens, quotes or dots in front. */
function text(words: string): string {
  return words
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('"', '\\(dq')
    .replaceAll("'", '\\(aq')
    .replace(/^\./, '\\&.');
}

mkdirSync(OUTPUT, { recursive: true });
writePage('sluice.1', 'commands', commandsOf(createProgram(() => {})));
writePage('docker-rootlesskit.1', 'options', ownOptions());
