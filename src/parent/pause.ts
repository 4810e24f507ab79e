import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Resolves after `ms`, or at once when `signal` is aborted. (A signal of AbortSignal.timeout() that
 * only AbortSignal.any() knows may be collected as garbage, and never fires.)
 */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}
