/** Prepares the child's network namespace for an agent that connects from the clients' addresses. */

import type { ChildContext } from '../../msg/port.js';
import { systemPath } from '../nsenter.js';
import type { Failures } from './failures.js';
import { type FirewallKind, type Lacks, setUpFirewall } from './firewall.js';
import type { Part } from './part.js';
import { Routing } from './routing.js';
import { FAMILIES } from './rules.js';
import { Sysctls } from './sysctls.js';
import { Tools } from './tools.js';

/** For which families the agent may connect from addresses of others. */
export interface KeptFamilies {
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  /** For people: why one of them is false. */
  readonly reason?: string;
}

export interface SourceAddressing extends KeptFamilies {
  readonly via: FirewallKind | 'none';
  /** For people: what goes without although the addresses are kept. */
  readonly lacks?: Lacks;
  /** What was set up; empty where no family can be served. */
  readonly parts: readonly Part[];
  /** Takes away what was set up. Never rejects, not even when the namespace is gone. */
  undo(): Promise<void>;
}

/**
 * Sets up firewall rules, policy routing and three sysctls; whatever an earlier driver left there
 * is replaced. Never rejects: a failure is a reason, and takes away what was done where neither
 * family can be served.
 *
 * @param path where to find ip, nft or iptables, and nsenter
 */
export async function setUpSourceAddressing(
  child: ChildContext,
  path = systemPath(),
): Promise<SourceAddressing> {
  const tools = new Tools(child, path);
  const [routing, sysctls] = [new Routing(tools), new Sysctls(tools)];
  const [{ firewall, failures }, routed, set] = await Promise.all([
    setUpFirewall(tools),
    routing.put(),
    sysctls.put(),
  ]);
  const undo = async () => {
    await Promise.all([firewall?.remove(), routing.remove(), sysctls.remove(routing.hasLeftover)]);
  };
  const kept = keptWith([routed, failures, set]);
  if (firewall !== undefined && (kept.ipv4 || kept.ipv6)) {
    const { via, lacks } = firewall;
    return { ...kept, via, lacks, parts: [firewall, routing, sysctls], undo };
  }
  await undo();
  return { ...kept, via: 'none', parts: [], undo: async () => {} };
}

/** The first failure of each family is its reason. */
export function keptWith(steps: readonly Failures[]): KeptFamilies {
  const failures = steps.reduceRight<Failures>((merged, one) => ({ ...merged, ...one }), {});
  const reason = reasonOf(failures);
  return {
    ipv4: failures.ipv4 === undefined,
    ipv6: failures.ipv6 === undefined,
    ...(reason !== undefined && { reason }),
  };
}

function reasonOf(failures: Failures): string | undefined {
  const [ipv4, ipv6] = FAMILIES.map((family) => failures[family]?.split('\n', 1)[0]);
  if (ipv4 === ipv6) return ipv4;
  const reasons = [ipv4 && `IPv4: ${ipv4}`, ipv6 && `IPv6: ${ipv6}`];
  return reasons.filter((reason) => reason !== undefined).join('; ');
}
