/** Whether a driver that is killed or reloaded can be followed by one that takes its agents over. */
import { errnoName } from '../../msg/fd.js';
import { NO_ATTACH, PTRACE_SCOPE } from '../agent-door.js';
import { quote } from '../shell.js';
import { type Finding, failure, ok, warning } from './finding.js';
import type { Machine } from './machine.js';

const CHECK = 'takeover';
const COST = 'connections end when the driver is killed, and `sluice reload` refuses';

export function checkTakeover(machine: Machine): Finding {
  const { node } = machine;
  if (machine.hasFileCapabilities(node)) {
    const text = `${node} has file capabilities, with which no agent can be started`;
    return failure(CHECK, text, `sudo setcap -r ${quote(node)}`);
  }
  if (machine.sysctl(PTRACE_SCOPE) === NO_ATTACH) {
    const text = `${PTRACE_SCOPE} is ${NO_ATTACH}, which lasts until the next boot: ${COST}`;
    return warning(CHECK, text, `grep -rl ${PTRACE_SCOPE} /etc/sysctl.conf /etc/sysctl.d`);
  }
  const result = machine.tryPidfdGetfd();
  if (result === 0) return ok(CHECK, 'agents can be handed over to another driver');
  const text = `pidfd_getfd failed: ${errnoName(result)}, by a seccomp filter or an old kernel: ${COST}`;
  return warning(CHECK, text);
}
