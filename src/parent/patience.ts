/**
 * How long this process waits for another one of ours to answer.
 *
 * An agent may be slow for seconds: a busy machine, a cold disk, a SIGSTOP that is taken back. To
 * end it costs all of its flows, to wait costs none of them.
 */

export const PATIENCE_S = 30;
const TICK_MS = 1000;

/**
 * Calls `giveUp` after so many seconds in which this process ran itself: they are counted one by
 * one. A time in which this process was stopped, or the machine slept, is not the other's silence.
 */
export function patience(seconds: number, giveUp: () => void): Disposable {
  let left = seconds;
  const timer = setInterval(() => {
    left--;
    if (left > 0) return;
    clearInterval(timer);
    giveUp();
  }, TICK_MS);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
