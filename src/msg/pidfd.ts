/**
 * Processes by their pidfd, which no other process ever takes over as it may a pid: pidfd_open(2).
 * Its epoll event is the process's end.
 */

import { constants } from 'node:os';
import { Fd, must } from './fd.js';
import * as libc from './libc.js';

const POLLIN = 1;

const pollfd = libc.allocate(8);

/** Throws a SluiceError ESRCH when there is no such process. */
export function openPidfd(pid: number): Fd {
  return new Fd(must(libc.pidfdOpen(pid), `pidfd_open(${pid})`));
}

export function hasEnded(pidfd: number): boolean {
  pollfd.view.setInt32(0, pidfd, true);
  pollfd.view.setInt16(4, POLLIN, true);
  return libc.poll(pollfd.address, 1, 0) > 0;
}

/** A process that has ended is left alone. */
export function kill(pidfd: number): void {
  libc.pidfdSendSignal(pidfd, constants.signals.SIGKILL);
}
