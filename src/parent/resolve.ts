/** The parent's answer to an agent's `resolve`: what it can't find out by itself without waiting. */

import { readFile } from 'node:fs/promises';
import { type Spec, type Transport, transportOf } from '../msg/port.js';
import type { Resolution } from '../msg/agent-port.js';
import { dialAddresses, isLoopback } from './dial.js';
import type { DnatResolver } from './dnat/resolver.js';

/** proc(5), /proc/net/tcp: hexadecimal local address and port, peer, then the state. */
const SOCKET = /^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ ([0-9A-F]{2}) /gm;
/** The state of a socket that takes what anybody sends; SCTP has no such table. */
const LISTENING: Readonly<Partial<Record<Transport, string>>> = { tcp: '0A', udp: '07' };
const LOOPBACK4 = '0100007F';

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
  const [targets, containers, isDualStack] = await Promise.all([
    Promise.all(queries.map((query) => resolver.resolve(query))).then((found) => found.flat()),
    Promise.all(queries.map((query) => resolver.proxiedContainer(query))),
    Promise.all(queries.map(({ port }) => isOneServer(transport, agentPid, port))),
  ]);
  const isProxied = targets.some((target) =>
    containers.some((one) => one?.ip === target.ip && one.port === target.port),
  );
  return { targets, isProxied, isDualStack: queries.length > 1 && isDualStack.every(Boolean) };
}

/** Whether 127.0.0.1 and ::1 lead to one socket: an IPv6 wildcard listens, and nothing on IPv4. */
async function isOneServer(transport: Transport, pid: number, port: number): Promise<boolean> {
  const state = LISTENING[transport];
  if (state === undefined) return false;
  const [ipv4, ipv6] = await Promise.all([
    listenersOf(`/proc/${pid}/net/${transport}`, state, port),
    listenersOf(`/proc/${pid}/net/${transport}6`, state, port),
  ]);
  const hasIPv4 = ipv4.some((ip) => isWildcard(ip) || ip === LOOPBACK4);
  return !hasIPv4 && ipv6.length > 0 && ipv6.every(isWildcard);
}

async function listenersOf(file: string, listening: string, port: number): Promise<string[]> {
  const text = await readFile(file, 'latin1').catch(() => '');
  return [...text.matchAll(SOCKET)]
    .filter(([, , hex = '', state]) => Number.parseInt(hex, 16) === port && state === listening)
    .map(([, ip = '']) => ip);
}

function isWildcard(hex: string): boolean {
  return /^0+$/.test(hex);
}
