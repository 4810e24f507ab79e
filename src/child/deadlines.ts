/**
 * Deadlines that are all the same time ahead, so that they fall due in the order they were set: a
 * Set keeps that order and forgets an entry in constant time, however many connections come and go.
 *
 * V8 keeps a whole number from -2^31 to 2^31 - 1 in an object's field itself, and any other number
 * in an object of 16 bytes. A time in milliseconds leaves that range 24.8 days after the start of
 * the agent, so every idle flow would grow then. Flows keep times in 32 bits that start again at
 * the least number after the greatest one; only differences of two times are ever looked at.
 */

import type { Clock } from './reactor.js';

export interface Expiring {
  /** A `wrappedMs` of a time. */
  deadline: number;
}

/** Milliseconds in a tick of `ticksAt`: 32 bits of them last for two years. */
const TICK_MS = 16;

/**
 * A time of performance.now() for a flow to keep: whole milliseconds, rounded up. Compare it with
 * `msUntil` only, within 24 days.
 */
export function wrappedMs(ms: number): number {
  return Math.ceil(ms) | 0;
}

/** Whole milliseconds from `now`, a time of performance.now(), to a `wrappedMs`. */
export function msUntil(time: number, now: number): number {
  return (time - Math.floor(now)) | 0;
}

/** A time of performance.now() for a flow to keep that may live for years. */
export function ticksAt(ms: number): number {
  return Math.floor(ms / TICK_MS) | 0;
}

/** The time, at most a tick too early, that `ticks` stands for: the latest one before `now`. */
export function timeOfTicks(ticks: number, now: number): number {
  const nowTicks = Math.floor(now / TICK_MS);
  return (nowTicks - ((nowTicks - ticks) >>> 0)) * TICK_MS;
}

export class Deadlines<T extends Expiring> implements Clock {
  /** Entries that are set after a change of it may have to wait for those set before. */
  delayMs: number;
  readonly #entries = new Set<T>();
  readonly #onExpired: (entry: T) => void;

  /** `delayMs` is at most some days. */
  constructor(delayMs: number, onExpired: (entry: T) => void) {
    this.delayMs = delayMs;
    this.#onExpired = onExpired;
  }

  /** Those with a deadline. */
  get all(): Iterable<T> {
    return this.#entries;
  }

  /** Sets or restarts the entry's deadline. */
  set(entry: T): void {
    this.#entries.delete(entry);
    entry.deadline = wrappedMs(performance.now() + this.delayMs);
    this.#entries.add(entry);
  }

  clear(entry: T): void {
    this.#entries.delete(entry);
  }

  /** When the entry's deadline was set, if `delayMs` is as it was then: a time of performance.now(). */
  setAt(entry: T, now = performance.now()): number {
    return now + msUntil(entry.deadline, now) - this.delayMs;
  }

  nextMs(now: number): number {
    for (const { deadline } of this.#entries) return Math.max(0, msUntil(deadline, now));
    return -1;
  }

  expire(now: number): void {
    for (const entry of this.#entries) {
      if (msUntil(entry.deadline, now) > 0) return;
      this.#entries.delete(entry);
      this.#onExpired(entry);
    }
  }
}
