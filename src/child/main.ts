/**
 * The agent's process. The parent starts it inside the child namespaces with its end of the
 * socketpair as fd 3, and without rights that it doesn't use. Node has already raised RLIMIT_NOFILE
 * to the hard limit.
 */

import { messageOf } from '../msg/errors.js';
import { must } from '../msg/fd.js';
import * as libc from '../msg/libc.js';
import * as linux from '../msg/linux.js';
import { Agent } from './agent.js';

export const CONTROL_FD = 3;

try {
  // Nobody with its user id alone may look into it, or take its sockets: ptrace(2).
  must(libc.prctl(linux.PR_SET_DUMPABLE, 0), 'prctl');
  new Agent().runChildDriver({ fd: String(CONTROL_FD) });
  process.exit(0);
} catch (error) {
  process.stderr.write(`sluice agent: ${messageOf(error)}\n`);
  process.exit(1);
}
