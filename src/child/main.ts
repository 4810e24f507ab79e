/**
 * The agent's process. The parent starts it inside the child namespaces, without rights that it
 * doesn't use, and with the numbers of its inherited fds as arguments, such as `fd=3`. Node has
 * already raised RLIMIT_NOFILE to the hard limit.
 */

import { constants } from 'node:os';
import { messageOf } from '../msg/errors.js';
import { must } from '../msg/fd.js';
import * as libc from '../msg/libc.js';
import * as linux from '../msg/linux.js';
import { Agent } from './agent.js';
import { askForShortSlices } from './slice.js';

/**
 * Sent to a whole group of processes when an engine is stopped. An agent that outlives its parent
 * ends with its namespaces or by a parent: until then, flows go on.
 */
const FOR_GROUPS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const;

const opaque = process.argv.slice(2).map((word): [string, string] => {
  const [key = '', number = ''] = word.split('=', 2);
  return [key, number];
});

try {
  if (opaque.some(([key]) => key === 'door')) {
    for (const name of FOR_GROUPS) libc.ignoreSignal(constants.signals[name]);
  }
  // Nobody with its user id alone may look into it, or take its sockets: ptrace(2).
  must(libc.prctl(linux.PR_SET_DUMPABLE, 0), 'prctl');
  askForShortSlices();
  new Agent().runChildDriver({ fd: '3', ...Object.fromEntries(opaque) });
  process.exit(0);
} catch (error) {
  process.stderr.write(`sluice agent: ${messageOf(error)}\n`);
  process.exit(1);
}
