import { writeSync } from 'node:fs';
import * as libc from '../msg/libc.js';
import * as linux from '../msg/linux.js';

const STDERR = 2;
/** PIPE_BUF of limits.h: a pipe that poll(2) calls writable takes so much without blocking. */
const MAX_BYTES = 4096;

/** struct pollfd. */
const pollFd = libc.allocate(8);

/**
 * One line on stderr, if it can be written at once: the agent's thread must not wait for a reader
 * of its messages, nor end with it.
 */
export function tell(text: string): void {
  pollFd.view.setInt32(0, STDERR, true);
  pollFd.view.setInt16(4, linux.POLLOUT, true);
  if (libc.poll(pollFd.address, 1, 0) !== 1) return;
  if (pollFd.view.getInt16(6, true) !== linux.POLLOUT) return;
  try {
    writeSync(STDERR, Buffer.from(`sluice agent: ${text}\n`).subarray(0, MAX_BYTES));
  } catch {
    // Nobody reads it.
  }
}
