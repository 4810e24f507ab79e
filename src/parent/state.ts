/**
 * The port table on disk: `sluice.json` in the state directory, for a parent that comes after this
 * one. It says which ports were added and removed, and the highest id ever given (known-ports.ts).
 *
 * Its first line has all ports at one time. Each further line has one change since then and is
 * written before the caller of AddPort or RemovePort gets its answer: one write(2), which outlives
 * this process whatever ends it.
 *
 * Nothing in it is taken on trust. A file that isn't whole or isn't ours is set aside; one about
 * namespaces that have ended is removed. A disk that can't be written to is reported and costs
 * nothing else.
 */

import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../msg/errors.js';
import type { ChildContext, Status } from '../msg/port.js';
import { type EventSink, problem } from './events/event.js';
import { processStat } from './proc.js';
import { removeFile } from './remove-file.js';

const FILE = 'sluice.json';
const STATE_FILE = 'ERR_STATE_FILE';
export const STATE_VERSION = 1;
/** Tens of thousands of ports. */
const MAX_BYTES = 16 << 20;
/** The file is written anew once it has this many changes, or twice as many as it has ports. */
const FEWEST_CHANGES = 1000;

export interface PortsState {
  readonly lastId: number;
  readonly ports: readonly Status[];
}

/** A line after the first one. */
type Change = { readonly added: Status } | { readonly removed: number };

export class StateFile {
  readonly #path: string;
  readonly #child: { readonly pid: number; readonly startTicks: number };
  readonly #current: () => PortsState;
  /** Lines since the file was written as a whole; undefined: it is not there. */
  #changes: number | undefined;
  #mostChanges = FEWEST_CHANGES;
  readonly #emit: EventSink;
  #hasFailed = false;

  /** `current` is what to write. Throws when the child's process has ended. */
  constructor(stateDir: string, { pid }: ChildContext, current: () => PortsState, emit: EventSink) {
    this.#current = current;
    this.#emit = emit;
    this.#path = join(stateDir, FILE);
    this.#child = { pid, startTicks: processStat(pid).startTicks };
  }

  /** Undefined when there is nothing to go on from. */
  async read(): Promise<PortsState | undefined> {
    if (!existsSync(this.#path)) return undefined;
    const { parseState } = await import('./state-text.js');
    try {
      const { child, lastId, ports } = parseState(readText(this.#path));
      if (child.pid === this.#child.pid && child.startTicks === this.#child.startTicks) {
        return { lastId, ports };
      }
      this.remove();
      return undefined;
    } catch (error) {
      this.#setAside(error);
      return undefined;
    }
  }

  added(port: Status): void {
    this.#append({ added: port });
  }

  removed(id: number): void {
    this.#append({ removed: id });
  }

  /** As a whole. A failure is reported. */
  write(): void {
    // The directory is removed with the namespaces: don't write a file into it then.
    if (!this.#isOfUse()) return;
    try {
      const current = this.#current();
      const state = { version: STATE_VERSION, child: this.#child, ...current };
      writeWhole(this.#path, `${JSON.stringify(state)}\n`);
      this.#changes = 0;
      this.#mostChanges = Math.max(FEWEST_CHANGES, 2 * current.ports.length);
      this.#hasFailed = false;
    } catch (error) {
      this.#changes = undefined;
      // An old file would tell of ports that were removed.
      this.remove();
      if (!this.#hasFailed) {
        const what = `ports can't be noted in ${this.#path}: ${messageOf(error)}`;
        const risk = 'they go on, and are lost only if all processes of sluice end at once';
        this.#emit({ type: 'problem', code: STATE_FILE, reason: `${what}; ${risk}` });
      }
      this.#hasFailed = true;
    }
  }

  /** A file that stays is of namespaces that have ended, as a later parent sees. */
  remove(): void {
    removeFile(this.#path);
  }

  #append(change: Change): void {
    if (this.#changes === undefined || this.#changes >= this.#mostChanges) return this.write();
    try {
      appendLine(this.#path, JSON.stringify(change));
      this.#changes++;
    } catch {
      // Whatever keeps it from that is met again, and reported.
      this.write();
    }
  }

  #isOfUse(): boolean {
    try {
      return processStat(this.#child.pid).startTicks === this.#child.startTicks;
    } catch {
      return false;
    }
  }

  #setAside(error: unknown): void {
    const aside = `${this.#path}.bad`;
    const what = `${this.#path} is not what sluice wrote (${messageOf(error)})`;
    try {
      renameSync(this.#path, aside);
      this.#emit({ type: 'problem', code: STATE_FILE, reason: `${what}; set aside as ${aside}` });
    } catch (renaming) {
      this.#emit(problem(renaming, `${what}; not used, and it can't be set aside: `));
    }
  }
}

function readText(path: string): string {
  const bytes = readFileSync(path);
  if (bytes.length > MAX_BYTES) throw new Error(`it has ${bytes.length} bytes`);
  return bytes.toString('utf8');
}

/** Throws when the file is not there, or takes a part of the line only. */
function appendLine(path: string, line: string): void {
  const file = openSync(path, constants.O_WRONLY | constants.O_APPEND);
  try {
    const bytes = Buffer.from(`${line}\n`);
    if (writeSync(file, bytes) !== bytes.length) throw new Error('ENOSPC');
  } finally {
    closeSync(file);
  }
}

/**
 * Whatever happens meanwhile, there is the old file or the new one. The machine's end is the end of
 * the namespaces too, so nothing waits for the disk.
 */
function writeWhole(path: string, text: string): void {
  const temporary = `${path}.new`;
  try {
    writeFileSync(temporary, text, { mode: 0o600 });
    renameSync(temporary, path);
  } catch (error) {
    removeFile(temporary);
    throw error;
  }
}
