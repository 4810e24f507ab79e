/**
 * How many sessions there may be, and which one makes room for another: in total, for one port, for
 * one source address.
 *
 *   unreplied ─► answered ─► established
 *
 * A session is established when its client has spoken again after the server's first answer, which
 * no sender of forged addresses can know of. It is never evicted. A flood can only evict sessions
 * that nobody has answered, unless these are less than half: then there is no flood but a full
 * table of finished exchanges (DNS), and the one that was answered first has to go. The limits that
 * hold for the flows of all protocols (`../overload.ts`) take their victims here as well.
 */

export type Phase = 'unreplied' | 'answered' | 'established';

export interface Limited {
  readonly phase: Phase;
}

export class Group<T extends Limited> {
  /** Those that are more already stay. */
  limit: number;
  readonly #unreplied = new Set<T>();
  readonly #answered = new Set<T>();
  #established = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  get size(): number {
    return this.#unreplied.size + this.#answered.size + this.#established;
  }

  get isFull(): boolean {
    return this.size >= this.limit;
  }

  /** The session that makes room for another one; undefined when all are established. */
  get victim(): T | undefined {
    const isFlood = 2 * this.#unreplied.size > this.size || this.#answered.size === 0;
    const [oldest] = isFlood ? this.#unreplied : this.#answered;
    return oldest;
  }

  /** Enters a session, at the end of its phase's line. */
  add(session: T): void {
    const line = this.#lineOf(session.phase);
    if (line === undefined) this.#established++;
    else line.add(session);
  }

  /** Before its phase changes, or at its end. */
  delete(session: T): void {
    const line = this.#lineOf(session.phase);
    if (line === undefined) this.#established--;
    else line.delete(session);
  }

  #lineOf(phase: Phase): Set<T> | undefined {
    switch (phase) {
      case 'unreplied':
        return this.#unreplied;
      case 'answered':
        return this.#answered;
      case 'established':
        return undefined;
      default:
        return phase satisfies never;
    }
  }
}

export interface Limits {
  readonly total: number;
  readonly perPort: number;
  readonly perSource: number;
}

/** A table of this size takes some 100 MB of the kernel's memory and ours. */
const MOST_SESSIONS = 65_536;

/** Half of the file descriptors are for TCP; one port, or one client, can't take all of the rest. */
export function limitsOf(files: number): Limits {
  const total = Math.min(Math.floor(files / 2), MOST_SESSIONS);
  return { total, perPort: Math.ceil(total / 2), perSource: Math.ceil(total / 4) };
}
