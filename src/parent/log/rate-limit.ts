/**
 * How many lines of a kind may be logged: a burst, then none for the rest of the period. What was
 * held back is told at the period's end, so that no log ends with fewer than there were.
 */

const PERIOD_MS = 60_000;
const BURST = 10;

interface Period {
  lines: number;
  heldBack: number;
}

export class RateLimit<Kind extends string> {
  readonly #onHeldBack: (kind: Kind, lines: number) => void;
  readonly #periodMs: number;
  readonly #periods = new Map<Kind, Period>();

  /** `onHeldBack` is called after a period in which lines of that kind were held back. */
  constructor(onHeldBack: (kind: Kind, lines: number) => void, periodMs = PERIOD_MS) {
    this.#onHeldBack = onHeldBack;
    this.#periodMs = periodMs;
  }

  /** Whether one more line of this kind may be written. */
  admits(kind: Kind): boolean {
    const period = this.#periods.get(kind) ?? this.#begin(kind);
    period.lines++;
    if (period.lines <= BURST) return true;
    period.heldBack++;
    return false;
  }

  /** Tells what was held back so far, without waiting for the ends of the periods. */
  flush(): void {
    for (const kind of this.#periods.keys()) this.#end(kind);
  }

  #begin(kind: Kind): Period {
    const period = { lines: 0, heldBack: 0 };
    this.#periods.set(kind, period);
    // Nothing that a process should stay for.
    setTimeout(() => this.#end(kind, period), this.#periodMs).unref();
    return period;
  }

  #end(kind: Kind, period = this.#periods.get(kind)): void {
    if (period === undefined || this.#periods.get(kind) !== period) return;
    this.#periods.delete(kind);
    if (period.heldBack > 0) this.#onHeldBack(kind, period.heldBack);
  }
}
