/** The parent's answer to an agent's `resolve`: what it can't find out by itself without waiting. */

import { type Spec, type Transport, transportOf } from '../msg/port.js';
import type { Resolution } from '../msg/agent-port.js';
import { type Address, formatAddress } from '../msg/sockaddr.js';
import { dialAddresses, isLoopback } from './dial.js';
import type { DnatResolver, Origin } from './dnat/resolver.js';
import { boundAddresses } from './proc-net.js';

/** Never rejects. `agentPid` is a process in the network namespace; `spec` may be gone by now. */
export async function resolveDial(
  spec: Spec | undefined,
  agentPid: number,
  resolver: DnatResolver,
): Promise<Resolution> {
  if (spec === undefined) return { targets: [], isProxied: false, isDualStack: false };
  const { targets, isHeld, hasChoice } = await findTargets(spec, resolver);
  // The kernel looks through the connections of the whole machine for it.
  const isInQuestion = targets.length === 0 && hasChoice;
  const transport = transportOf(spec.proto);
  const isDualStack = isInQuestion && (await isOneServer(transport, agentPid, spec.childPort));
  return { targets: targets.map(({ ip, port }) => ({ ip, port })), isProxied: isHeld, isDualStack };
}

export interface FoundTarget extends Address {
  readonly origin: Origin;
}

export interface FoundTargets {
  readonly targets: readonly FoundTarget[];
  /** The engine or its proxy has the port's own addresses. */
  readonly isHeld: boolean;
  /** The port has an address of loopback in both families. */
  readonly hasChoice: boolean;
}

/** Never rejects. */
export async function findTargets(spec: Spec, resolver: DnatResolver): Promise<FoundTargets> {
  const proto = transportOf(spec.proto);
  const own = dialAddresses(spec).filter(({ ip }) => isLoopback(ip));
  const found = await Promise.all(own.map(({ ip, port }) => resolver.find({ proto, ip, port })));
  const targets = found.flatMap((one) =>
    one.targets.map(({ ip, port }) => ({ ip, port, origin: one.origin })),
  );
  return {
    targets: [...new Map(targets.map((one) => [formatAddress(one), one])).values()],
    isHeld: found.some(({ isHeld }) => isHeld),
    hasChoice: own.length > 1,
  };
}

/**
 * Whether 127.0.0.1 and ::1 lead to one socket: an IPv6 wildcard listens, and nothing on IPv4.
 * One socket of SCTP can have any addresses, so this says nothing of it.
 */
async function isOneServer(transport: Transport, pid: number, port: number): Promise<boolean> {
  if (transport === 'sctp') return false;
  const bound = await boundAddresses(pid, transport, port);
  const ipv6 = bound.filter((ip) => ip.includes(':'));
  const hasIPv4 = bound.includes('0.0.0.0') || bound.includes('127.0.0.1');
  return !hasIPv4 && ipv6.length > 0 && ipv6.every((ip) => ip === '::');
}
