import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type Cleanup, temporaryFolder } from './cleanup.js';
import { type Program, run, type StartOptions, start } from './processes.js';

const DEADLINE_MS = 20_000;
const PROMPT = /ready> /;
export const CTRL_C = '\u0003';
const HOME_KEY = '\u0001';
const END_KEY = '\u0005';
/** How programs set a terminal's modes, and carriage returns. */
const ESCAPE = '\u001B';
const CONTROL = new RegExp(`${ESCAPE}\\[[?\\d;]*[A-Za-z]|\r`, 'g');

/** A shell with the prompt "ready> " on a terminal of its own. */
export class Terminal {
  readonly #program: Program;
  readonly #keyboard: number;
  /** What was written before the last command line. */
  #seen = 0;

  constructor(program: Program, keyboard: number) {
    this.#program = program;
    this.#keyboard = keyboard;
  }

  /** Once the shell has prompted. */
  async type(keys: string): Promise<void> {
    await this.shows(PROMPT);
    this.#seen = this.#program.stdout.length;
    this.press(keys);
  }

  /** At once, whatever runs. */
  press(key: string): void {
    writeSync(this.#keyboard, key);
  }

  /** All that was written since the last command line, with its escape sequences. */
  get written(): string {
    return this.#program.stdout.slice(this.#seen);
  }

  async ended(): Promise<object> {
    return this.#program.exited(DEADLINE_MS);
  }

  async shows(pattern: RegExp): Promise<RegExpMatchArray> {
    const written = () => this.#program.stdout.slice(this.#seen).replaceAll(CONTROL, '');
    return this.#program.until(() => written().match(pattern), DEADLINE_MS, `${pattern}`);
  }

  /** The command line that typing these keys makes, without a space or slash at its end. */
  async lineOf(keys: string): Promise<string> {
    await this.type(`${keys}${HOME_KEY}echo "[${END_KEY}]"\n`);
    const [whole, line = ''] = await this.shows(/^\[(.*)\]\n/m);
    this.#seen = this.#program.stdout.lastIndexOf(whole.trimEnd());
    // Some shells take the slash after a folder away when a space follows.
    return line.replace(/[ /]+$/, '');
  }
}

/** Under script(1), which has a terminal to give. */
export async function startTerminal(
  cleanup: Cleanup,
  command: string,
  options: StartOptions,
): Promise<Terminal> {
  const fifo = join(temporaryFolder(cleanup), 'keyboard');
  await run(['mkfifo', fifo]);
  // Opened for both, so that neither side waits for the other.
  const keyboard = openSync(fifo, 'r+');
  cleanup.defer(() => closeSync(keyboard));
  const script = `exec script --quiet --flush --return --command '${command}' /dev/null <${fifo}`;
  const program = await start(cleanup, ['sh', '-c', script], options);
  return new Terminal(program, keyboard);
}
