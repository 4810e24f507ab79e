import type { Clock } from './reactor.js';

const INTERVAL_MS = 1000;

/** Tells of what has gathered: a second after the first of it, so at most once a second. */
export abstract class ReportClock implements Clock {
  #reportAt = Infinity;

  /** Something is there to be told. */
  protected gathered(): void {
    if (this.#reportAt === Infinity) this.#reportAt = performance.now() + INTERVAL_MS;
  }

  /** Tells all of it, and forgets it. */
  protected abstract report(): void;

  nextMs(now: number): number {
    return this.#reportAt === Infinity ? -1 : Math.max(0, Math.ceil(this.#reportAt - now));
  }

  expire(now: number): void {
    if (now < this.#reportAt) return;
    this.#reportAt = Infinity;
    this.report();
  }
}
