/**
 * What can stand where the cursor is, read from the tree of commands: a line for each word, with a
 * tab and its description behind it; or one line that leaves it to the shell: `:files`, `:folders`
 * or `:commands`. Nothing where anything may be typed.
 */
import type { Command, Option } from 'commander';

/** By the names that commands give to their values. */
const KINDS: Readonly<Record<string, readonly string[]>> = {
  path: [':files'],
  dir: [':folders'],
  bool: ['true', 'false'],
};

/** `words` are all after the program's name up to the cursor; the last one may be cut or empty. */
export function complete(program: Command, words: readonly string[]): string[] {
  const current = words.at(-1) ?? '';
  const { command, expects, operands, isPastOptions } = read(program, words.slice(0, -1));
  if (expects !== undefined) return startingWith(current, valuesOf(expects));
  if (!isPastOptions) {
    const [, flag = '', value] = /^(--[^=]+)=(.*)$/s.exec(current) ?? [];
    if (value !== undefined) return startingWith(value, valuesOf(optionOf(command, flag)));
    const options = command.createHelp().visibleOptions(command);
    if (current.startsWith('-')) return startingWith(current, options.map(lineOf));
  }
  if (command === program) return startingWith(current, namesIn(program));
  return startingWith(current, operandsOf(command, operands));
}

interface Reading {
  readonly command: Command;
  /** The option whose value comes next. */
  readonly expects: Option | undefined;
  readonly operands: readonly string[];
  readonly isPastOptions: boolean;
}

function read(program: Command, words: readonly string[]): Reading {
  let command = program;
  let expects: Option | undefined;
  let isPastOptions = false;
  const operands: string[] = [];
  for (const word of words) {
    if (expects !== undefined) {
      expects = undefined;
    } else if (isPastOptions) {
      operands.push(word);
    } else if (word === '--') {
      isPastOptions = true;
    } else if (word.startsWith('-')) {
      const option = optionOf(command, word);
      if (option?.required) expects = option;
    } else if (command === program) {
      command = program.commands.find((one) => one.name() === word) ?? program;
    } else {
      operands.push(word);
      isPastOptions = takesCommand(command);
    }
  }
  return { command, expects, operands, isPastOptions };
}

/** Whatever follows such an operand is the other command's own. */
function takesCommand(command: Command): boolean {
  return command.registeredArguments[0]?.name() === 'command';
}

function optionOf(command: Command, flag: string): Option | undefined {
  return command.options.find(({ long, short }) => flag === long || flag === short);
}

function lineOf({ long, short, description }: Option): string {
  return `${long ?? short}\t${description}`;
}

function namesIn(program: Command): string[] {
  const commands = program.createHelp().visibleCommands(program);
  return commands.map((command) => `${command.name()}\t${command.description()}`);
}

function valuesOf(option: Option | undefined): readonly string[] {
  if (option === undefined) return [];
  const [, name = ''] = /<(\w+)/.exec(option.flags) ?? [];
  return option.argChoices ?? KINDS[name] ?? [];
}

function operandsOf(command: Command, before: readonly string[]): readonly string[] {
  if (takesCommand(command)) return [before.length === 0 ? ':commands' : ':files'];
  return command.registeredArguments[before.length]?.argChoices ?? [];
}

function startingWith(start: string, lines: readonly string[]): string[] {
  return lines.filter((line) => line.startsWith(':') || line.startsWith(start));
}
