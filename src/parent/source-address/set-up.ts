/** Prepares the child's network namespace for an agent that connects from the clients' addresses. */

import type { ChildContext } from '../../msg/port.js';
import { DEFAULT_UDP_TIMEOUTS } from '../../msg/udp-timeouts.js';
import { systemPath } from '../nsenter.js';
import { pause } from '../pause.js';
import { extendConntrack } from './conntrack.js';
import type { Failures } from './failures.js';
import { type Firewall, removeFirewall, setUpFirewall } from './firewall.js';
import { removeRouting, setUpRouting } from './routing.js';
import { FAMILIES } from './rules.js';
import { restoreSysctls, setUpSysctls } from './sysctls.js';
import { Tools } from './tools.js';

/** Until what people wait for has started. */
const CONNTRACK_PAUSE_MS = 1000;

export interface SourceAddressing {
  /** The agent may connect from IPv4 addresses of others, and the replies reach it. */
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  /** For people: why one of them is false. */
  readonly reason?: string;
  readonly via: Firewall | 'none';
  /** Takes away what was set up. Never rejects, not even when the namespace is gone. */
  undo(): Promise<void>;
}

/**
 * Sets up firewall rules, policy routing and three sysctls; whatever an earlier driver left there
 * is replaced. Never rejects: a failure is a reason, and takes away what was done where neither
 * family can be served.
 *
 * @param path where to find ip, nft or iptables, and nsenter
 * @param udpTimeouts of the agent's sessions
 */
export async function setUpSourceAddressing(
  child: ChildContext,
  path = systemPath(),
  udpTimeouts = DEFAULT_UDP_TIMEOUTS,
): Promise<SourceAddressing> {
  const tools = new Tools(child, path);
  const [firewall, routing, sysctls] = await Promise.all([
    setUpFirewall(tools),
    setUpRouting(tools),
    setUpSysctls(tools),
  ]);
  // Only now is conntrack sure to be there: the rules load it. And nobody waits for this: it is done
  // long before a session is as old.
  const over = new AbortController();
  const extended = pause(CONNTRACK_PAUSE_MS, over.signal).then(() =>
    over.signal.aborted ? undefined : extendConntrack(tools, udpTimeouts),
  );
  const undo = async () => {
    over.abort();
    await Promise.all([
      extended.then((undoConntrack) => undoConntrack?.()),
      firewall.via === 'none' ? undefined : removeFirewall(tools, firewall.via),
      removeRouting(tools),
      restoreSysctls(tools, sysctls, routing.leftover),
    ]);
  };
  const failures = merge([routing.failures, firewall.failures, sysctls.failures]);
  const [ipv4, ipv6] = [failures.ipv4 === undefined, failures.ipv6 === undefined];
  const reason = reasonOf(failures);
  if (ipv4 || ipv6) {
    return { ipv4, ipv6, ...(reason !== undefined && { reason }), via: firewall.via, undo };
  }
  await undo();
  return { ipv4, ipv6, ...(reason !== undefined && { reason }), via: 'none', undo: async () => {} };
}

/** The first failure of each family. */
function merge(steps: readonly Failures[]): Failures {
  return steps.reduceRight((merged, failures) => ({ ...merged, ...failures }), {});
}

function reasonOf(failures: Failures): string | undefined {
  const [ipv4, ipv6] = FAMILIES.map((family) => failures[family]?.split('\n', 1)[0]);
  if (ipv4 === ipv6) return ipv4;
  const reasons = [ipv4 && `IPv4: ${ipv4}`, ipv6 && `IPv6: ${ipv6}`];
  return reasons.filter((reason) => reason !== undefined).join('; ');
}
