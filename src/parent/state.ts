/**
 * The port table on disk: `sluice.json` in the state directory, for a parent that comes after this
 * one. What a running agent serves is asked from the agent; the file knows the rest, and tells the
 * ports when no agent is left.
 *
 * Nothing in it is taken on trust. A file that isn't whole or isn't ours is set aside; one about
 * namespaces that have ended is removed. A disk that can't be written to is reported and costs
 * nothing else.
 */

import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
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
/** From a change to the file: callers don't wait for it, and what changes meanwhile costs no more. */
const DELAY_MS = 20;
const LONGEST_DELAY_MS = 500;
/** A file of ten thousand ports is not to be all that is done while the next thousand is added. */
const REST_PER_WRITE = 9;

export interface PortsState {
  readonly lastId: number;
  readonly ports: readonly Status[];
}

export class StateFile {
  readonly #path: string;
  readonly #child: { readonly pid: number; readonly startTicks: number };
  readonly #current: () => PortsState;
  #timer: NodeJS.Timeout | undefined;
  #delayMs = DELAY_MS;
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

  /** To be called after every change. */
  changed(): void {
    this.#timer ??= setTimeout(() => this.write(), this.#delayMs);
  }

  /** Now. What can't be written is reported. */
  write(): void {
    this.#stopWaiting();
    // The state directory goes with the namespaces, and must not be found full by who removes it.
    if (!this.#isOfUse()) return;
    const startedAt = performance.now();
    try {
      const state = { version: STATE_VERSION, child: this.#child, ...this.#current() };
      writeWhole(this.#path, JSON.stringify(state));
      this.#hasFailed = false;
    } catch (error) {
      if (!this.#hasFailed) {
        const what = `ports can't be noted in ${this.#path}: ${messageOf(error)}`;
        const risk = 'they go on, and are lost only if this process and its agent both die';
        this.#emit({ type: 'problem', code: STATE_FILE, reason: `${what}; ${risk}` });
      }
      this.#hasFailed = true;
    }
    const restMs = REST_PER_WRITE * (performance.now() - startedAt);
    this.#delayMs = Math.min(Math.max(DELAY_MS, restMs), LONGEST_DELAY_MS);
  }

  /** Waits no longer for what is still to be written. */
  flush(): void {
    if (this.#timer !== undefined) this.write();
  }

  /** For good: call it when no port is left behind. */
  discard(): void {
    this.#stopWaiting();
    this.remove();
  }

  /** A file that stays is of namespaces that have ended, as a later parent sees. */
  remove(): void {
    removeFile(this.#path);
  }

  #isOfUse(): boolean {
    try {
      return processStat(this.#child.pid).startTicks === this.#child.startTicks;
    } catch {
      return false;
    }
  }

  #stopWaiting(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
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

/**
 * Whatever happens meanwhile, there is the old file or the new one. The machine's end is the end of
 * the namespaces too, so nothing waits for the disk.
 */
function writeWhole(path: string, text: string): void {
  const temporary = `${path}.new`;
  writeFileSync(temporary, text, { mode: 0o600 });
  renameSync(temporary, path);
}
