/**
 * Which container docker-proxy serves a port of the child namespace for. dockerd writes no rule for
 * an IPv6 port whose container has IPv4 alone, and the rule of the same port on 127.0.0.1 may be
 * another container's: only the proxy's arguments tell.
 */

import { readdir, readFile, stat } from 'node:fs/promises';
import type { ChildContext } from '../../msg/port.js';
import type { Address } from '../../msg/sockaddr.js';
import type { DnatQuery } from './rule.js';

const NAME = /(?:^|\/)docker-proxy$/;

/** The container's address, as the proxy of `query` has it; undefined without one. Never rejects. */
export async function proxiedContainer(
  child: ChildContext,
  query: DnatQuery,
): Promise<Address | undefined> {
  const namespace = await inodeOf(child.netnsPath ?? `/proc/${child.pid}/ns/net`);
  const names = await readdir('/proc').catch(() => []);
  for (const pid of names.filter((name) => /^\d+$/.test(name))) {
    const [file = '', ...args] = await argumentsOf(pid);
    if (!NAME.test(file) || !serves(args, query)) continue;
    if ((await inodeOf(`/proc/${pid}/ns/net`)) !== namespace) continue;
    return { ip: valueOf(args, '-container-ip'), port: Number(valueOf(args, '-container-port')) };
  }
  return undefined;
}

function serves(args: readonly string[], { proto, ip, port }: DnatQuery): boolean {
  return (
    valueOf(args, '-proto') === proto &&
    valueOf(args, '-host-ip') === ip &&
    valueOf(args, '-host-port') === String(port)
  );
}

function valueOf(args: readonly string[], option: string): string {
  return args[args.indexOf(option) + 1] ?? '';
}

/** Empty for a process that has ended or is another user's. */
async function argumentsOf(pid: string): Promise<string[]> {
  return (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
}

async function inodeOf(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.ino;
}
