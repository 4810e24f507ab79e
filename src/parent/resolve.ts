/** The parent's answer to an agent's `resolve`: what it can't find out by itself without waiting. */

import { type Spec, type Transport, transportOf } from '../msg/port.js';
import type { Resolution } from '../msg/agent-port.js';
import { dialAddresses, isLoopback } from './dial.js';
import type { DnatResolver } from './dnat/resolver.js';
import { boundAddresses } from './proc-net.js';

/** Never rejects. `agentPid` is a process in the network namespace; `spec` may be gone by now. */
export async function resolveDial(
  spec: Spec | undefined,
  agentPid: number,
  resolver: DnatResolver,
): Promise<Resolution> {
  if (spec === undefined) return { targets: [], isProxied: false, isDualStack: false };
  const transport = transportOf(spec.proto);
  const queries = dialAddresses(spec)
    .filter(({ ip }) => isLoopback(ip))
    .map(({ ip, port }) => ({ proto: transport, ip, port }));
  const [targets, containers] = await Promise.all([
    Promise.all(queries.map((query) => resolver.resolve(query))).then((found) => found.flat()),
    Promise.all(queries.map((query) => resolver.proxiedContainer(query))),
  ]);
  const isProxied = targets.some((target) =>
    containers.some((one) => one?.ip === target.ip && one.port === target.port),
  );
  // The kernel looks through the connections of the whole machine for it.
  const isInQuestion = targets.length === 0 && queries.length > 1;
  const isDualStack = isInQuestion && (await isOneServer(transport, agentPid, spec.childPort));
  return { targets, isProxied, isDualStack };
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
