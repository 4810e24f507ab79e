/**
 * Deadlines that are all the same time ahead, so that they fall due in the order they were set: a
 * Set keeps that order and forgets an entry in constant time, however many connections come and go.
 */

import type { Clock } from './reactor.js';

export interface Expiring {
  /** Whole milliseconds on the clock of performance.now(). */
  deadline: number;
}

/** For what every flow keeps: V8 has a whole number in the field itself, a fraction in an object. */
export function wholeMs(ms: number): number {
  return Math.ceil(ms);
}

export class Deadlines<T extends Expiring> implements Clock {
  /** Entries that are set after a change of it may have to wait for those set before. */
  delayMs: number;
  readonly #entries = new Set<T>();
  readonly #onExpired: (entry: T) => void;

  constructor(delayMs: number, onExpired: (entry: T) => void) {
    this.delayMs = delayMs;
    this.#onExpired = onExpired;
  }

  /** Sets or restarts the entry's deadline. */
  set(entry: T): void {
    this.#entries.delete(entry);
    entry.deadline = wholeMs(performance.now()) + this.delayMs;
    this.#entries.add(entry);
  }

  clear(entry: T): void {
    this.#entries.delete(entry);
  }

  nextMs(now: number): number {
    for (const { deadline } of this.#entries) return Math.max(0, Math.ceil(deadline - now));
    return -1;
  }

  expire(now: number): void {
    for (const entry of this.#entries) {
      if (entry.deadline > now) return;
      this.#entries.delete(entry);
      this.#onExpired(entry);
    }
  }
}
