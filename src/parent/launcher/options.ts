/**
 * rootlesskit's command line, whose grammar is that of Go's flag package: one dash or two, a value
 * after `=` or in the next argument, and the first argument that is no option begins the command.
 *
 * Which options there are, and which of them take a value, is what the installed rootlesskit says
 * in its own --help: every version has others. Most command lines can be read without asking it.
 */

/** Names without dashes, and whether the option takes a value. */
export type OptionTable = ReadonlyMap<string, boolean>;

export interface Option {
  readonly name: string;
  /** Of an option without a value: 'true', unless another one was given after `=`. */
  readonly value: string;
  /** The arguments that it was written as. */
  readonly words: readonly string[];
}

export interface CommandLine {
  readonly options: readonly Option[];
  /** What rootlesskit is to run, from its first argument on. */
  readonly command: readonly string[];
}

// "  --publish value, -p value [ --publish value, -p value ]  publish ports": two spaces end the
// synopsis, and a name with something after it takes a value.
const SYNOPSIS = /^\s+(-.*?)(?:\s{2,}|$)/;
const NAME = /--?([A-Za-z0-9][\w-]*)( [^,\s\][]+)?/g;

export function parseHelp(help: string): OptionTable {
  const table = new Map<string, boolean>();
  for (const line of help.split('\n')) {
    const synopsis = SYNOPSIS.exec(line)?.[1] ?? '';
    for (const [, name = '', value] of synopsis.matchAll(NAME)) {
      table.set(name, value !== undefined);
    }
  }
  return table;
}

/** Returns undefined for a command line that rootlesskit refuses: let it say so itself. */
export function parseCommandLine(
  args: readonly string[],
  table: Pick<OptionTable, 'get'>,
): CommandLine | undefined {
  const options: Option[] = [];
  for (let at = 0; at < args.length; ) {
    const word = args[at] ?? '';
    if (word === '--') {
      return { options, command: args.slice(at + 1) };
    }
    if (!word.startsWith('-') || word === '-') {
      return { options, command: args.slice(at) };
    }
    const [, name = '', attached] = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(word) ?? [];
    const takesValue = table.get(name);
    const inNextWord = takesValue === true && attached === undefined;
    const value = inNextWord ? args[at + 1] : (attached ?? 'true');
    if (takesValue === undefined || value === undefined) {
      return undefined;
    }
    const words = args.slice(at, at + (inNextWord ? 2 : 1));
    options.push({ name, value, words });
    at += words.length;
  }
  return { options, command: [] };
}

/** What every version of rootlesskit takes with a value. */
const ALWAYS_VALUED: readonly string[] = ['net', 'p', 'port-driver', 'publish', 'state-dir'];

const WITHOUT_HELP: Pick<OptionTable, 'get'> = {
  get: (name) => (name === '' ? undefined : ALWAYS_VALUED.includes(name)),
};

/**
 * A command line that means the same whichever other options take a value: the last one before the
 * command has its value, and none of the others is followed by a word without a dash. Undefined for
 * others. Whether rootlesskit knows the options is left to it.
 */
export function parsePlainCommandLine(args: readonly string[]): CommandLine | undefined {
  const line = parseCommandLine(args, WITHOUT_HELP);
  const last = line?.options.at(-1)?.words ?? [];
  const hasValue = last.length > 1 || last[0]?.includes('=') === true;
  return hasValue && line?.command.length !== 0 ? line : undefined;
}

/** The value that counts of an option given once or more. */
export function lastValue(line: CommandLine, ...names: string[]): string | undefined {
  return line.options.findLast(({ name }) => names.includes(name))?.value;
}

export function allValues(line: CommandLine, ...names: string[]): string[] {
  return line.options.filter(({ name }) => names.includes(name)).map(({ value }) => value);
}

/** The options as they were written, without those of `names`. */
export function wordsWithout(line: CommandLine, ...names: string[]): string[] {
  return line.options.filter(({ name }) => !names.includes(name)).flatMap(({ words }) => words);
}

/** strconv.ParseBool's words for true. */
export function isTrue(value: string | undefined): boolean {
  return value !== undefined && /^(1|t|T|TRUE|true|True)$/.test(value);
}
