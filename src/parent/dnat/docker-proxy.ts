/**
 * Which container docker-proxy serves a port of the child namespace for. dockerd writes no rule for
 * an IPv6 port whose container has IPv4 alone, and the rule of the same port on 127.0.0.1 may be
 * another container's: only the proxy's arguments tell.
 */

import { promises as fs } from 'node:fs';
import type { ChildContext } from '../../msg/port.js';
import type { Address } from '../../msg/sockaddr.js';
import type { DnatQuery } from './rule.js';

const NAME = /(?:^|\/)docker-proxy$/;

export interface DockerProxy {
  readonly proto: string;
  readonly ip: string;
  readonly port: number;
  readonly container: Address;
}

/** Every docker-proxy in the child's network namespace. Never rejects. */
export async function readDockerProxies({ pid, netnsPath }: ChildContext): Promise<DockerProxy[]> {
  const namespace = await inodeOf(netnsPath ?? `/proc/${pid}/ns/net`);
  if (namespace === undefined) return [];
  const names = await fs.readdir('/proc').catch(() => []);
  const proxies = names
    .filter((name) => /^\d+$/.test(name))
    .map(async (name) => {
      const [file = '', ...args] = await argumentsOf(name);
      if (!NAME.test(file)) return [];
      return (await inodeOf(`/proc/${name}/ns/net`)) === namespace ? [proxyFrom(args)] : [];
    });
  return (await Promise.all(proxies)).flat();
}

/** The container that `query` is a proxy's address for. */
export function containerOf(
  proxies: readonly DockerProxy[],
  { proto, ip, port }: DnatQuery,
): Address | undefined {
  return proxies.find((one) => one.proto === proto && one.ip === ip && one.port === port)
    ?.container;
}

function proxyFrom(args: readonly string[]): DockerProxy {
  return {
    proto: valueOf(args, '-proto'),
    ip: valueOf(args, '-host-ip'),
    port: Number(valueOf(args, '-host-port')),
    container: {
      ip: valueOf(args, '-container-ip'),
      port: Number(valueOf(args, '-container-port')),
    },
  };
}

function valueOf(args: readonly string[], option: string): string {
  return args[args.indexOf(option) + 1] ?? '';
}

/** Empty for a process that has ended or is another user's. */
async function argumentsOf(pid: string): Promise<string[]> {
  return (await fs.readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
}

async function inodeOf(path: string): Promise<number | undefined> {
  return (await fs.stat(path).catch(() => undefined))?.ino;
}
