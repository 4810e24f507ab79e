/** The parent's answer to an agent's `resolve`: what it can't find out by itself without waiting. */

import { readFile } from 'node:fs/promises';
import type { Resolution } from '../msg/protocol.js';
import type { Address } from '../msg/sockaddr.js';
import { isLoopback } from './dial.js';
import type { DnatResolver } from './dnat/resolver.js';

/** proc(5), /proc/net/tcp: hexadecimal local address and port, peer, then the state. */
const LISTENER = /^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ 0A /gm;
const LOOPBACK4 = '0100007F';

/** Never rejects. `agentPid` is a process in the network namespace. */
export async function resolveDial(
  dial: readonly Address[],
  agentPid: number,
  resolver: DnatResolver,
): Promise<Resolution> {
  const queries = dial
    .filter(({ ip }) => isLoopback(ip))
    .map(({ ip, port }) => ({ proto: 'tcp' as const, ip, port }));
  const [targets, containers, isDualStack] = await Promise.all([
    Promise.all(queries.map((query) => resolver.resolve(query))).then((found) => found.flat()),
    Promise.all(queries.map((query) => resolver.proxiedContainer(query))),
    Promise.all(queries.map(({ port }) => isOneServer(agentPid, port))),
  ]);
  const isProxied = targets.some((target) =>
    containers.some((one) => one?.ip === target.ip && one.port === target.port),
  );
  return { targets, isProxied, isDualStack: queries.length > 1 && isDualStack.every(Boolean) };
}

/** Whether 127.0.0.1 and ::1 lead to one socket: an IPv6 wildcard listens, and nothing on IPv4. */
async function isOneServer(pid: number, port: number): Promise<boolean> {
  const [ipv4, ipv6] = await Promise.all([
    listenersOf(`/proc/${pid}/net/tcp`, port),
    listenersOf(`/proc/${pid}/net/tcp6`, port),
  ]);
  const hasIPv4 = ipv4.some((ip) => isWildcard(ip) || ip === LOOPBACK4);
  return !hasIPv4 && ipv6.length > 0 && ipv6.every(isWildcard);
}

async function listenersOf(file: string, port: number): Promise<string[]> {
  const text = await readFile(file, 'latin1').catch(() => '');
  const listeners = [...text.matchAll(LISTENER)];
  return listeners
    .filter(([, , hex = '']) => Number.parseInt(hex, 16) === port)
    .map(([, ip = '']) => ip);
}

function isWildcard(hex: string): boolean {
  return /^0+$/.test(hex);
}
