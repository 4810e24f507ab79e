import type { ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fieldsAfterName } from '../proc.js';

const FORWARDED = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;

/** Ask a program to end. */
export const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** A terminal's keys send these to the whole foreground process group. */
const FROM_KEYS: readonly string[] = ['SIGINT', 'SIGQUIT'];

/**
 * Passes our signals on to `child`, which is in our process group: what the terminal sends to the
 * whole group has reached it already. (Who sent a signal, Node.js does not tell: one that `kill`
 * sends to us alone while we are in the foreground of a terminal is taken for the terminal's.)
 * While `isHeld`, all are passed on: the terminal's may have come before the child was there, and
 * nothing runs in it yet that a second one would disturb. `first` is the one that came first.
 */
export function forwardSignals(
  child: ChildProcess,
  isHeld: () => boolean,
): Disposable & { readonly first: () => NodeJS.Signals | undefined } {
  let first: NodeJS.Signals | undefined;
  const forward = (signal: NodeJS.Signals) => {
    first ??= signal;
    if (isHeld() || !(FROM_KEYS.includes(signal) && inForeground())) {
      child.kill(signal);
    }
  };
  for (const signal of FORWARDED) process.on(signal, forward);
  return {
    first: () => first,
    [Symbol.dispose]: () => {
      for (const signal of FORWARDED) process.off(signal, forward);
    },
  };
}

/** Whether our process group is the foreground one of a terminal. */
function inForeground(): boolean {
  // proc_pid_stat(5): state, ppid, pgrp, session, tty_nr, tpgid.
  const stat = readFileSync('/proc/self/stat', 'latin1');
  const [, , group, , terminal, foreground] = fieldsAfterName(stat);
  return terminal !== '0' && foreground === group;
}

/**
 * Signals do not end this process, until it is disposed of. For one that has no child to pass them
 * on to, or does not yet: `signalled` resolves at the first.
 */
export function stopSignal(): Disposable & { readonly signalled: Promise<unknown> } {
  const stopped = new EventEmitter();
  const stop = () => stopped.emit('stop');
  const signalled = once(stopped, 'stop');
  for (const signal of STOP_SIGNALS) process.on(signal, stop);
  return {
    signalled,
    [Symbol.dispose]: () => {
      for (const signal of STOP_SIGNALS) process.off(signal, stop);
    },
  };
}
