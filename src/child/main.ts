/**
 * The agent's process. The parent starts it inside the child namespaces with its end of the
 * socketpair as fd 3. Node has already raised RLIMIT_NOFILE to the hard limit.
 */

import { messageOf } from '../msg/errors.js';
import { Agent } from './agent.js';
import { bringLoopbackUp } from './loopback.js';

export const CONTROL_FD = 3;

try {
  bringLoopbackUp();
  new Agent().runChildDriver({ fd: String(CONTROL_FD) });
  process.exit(0);
} catch (error) {
  process.stderr.write(`sluice agent: ${messageOf(error)}\n`);
  process.exit(1);
}
