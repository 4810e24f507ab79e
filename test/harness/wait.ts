import { setTimeout as sleep } from 'node:timers/promises';

const POLL_INTERVAL_MS = 20;

/** Programs take ten times as long in an emulated machine, but little of a deadline is theirs. */
const PATIENCE = process.env['SLUICE_TEST_MACHINE'] === 'emulated' ? 8 : 1;

export type Truthy<T> = Exclude<T, undefined | null | false | 0 | ''>;

export function isTruthy<T>(value: T): value is Truthy<T> {
  return Boolean(value);
}

/**
 * Waits until `condition` yields something truthy, and returns that. A condition that throws is
 * not met yet; what it threw last is the cause of the error past the deadline.
 *
 * @param what what is waited for, as it is to be read in the error
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  deadlineMs: number,
  what: string,
): Promise<Truthy<T>> {
  const patienceMs = deadlineMs * PATIENCE;
  const end = performance.now() + patienceMs;
  for (;;) {
    let cause: unknown;
    try {
      const value: T = await condition();
      if (isTruthy(value)) return value;
    } catch (error) {
      cause = error;
    }
    if (performance.now() >= end) {
      throw new Error(`Not within ${patienceMs} ms: ${what}`, { cause });
    }
    await sleep(POLL_INTERVAL_MS);
  }
}
