/** Finds the process that has a TCP or UDP port, as far as this user may look. */
import { promises as fs } from 'node:fs';
import { isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { Transport } from '../msg/port.js';
import { SOCKET_STATE, socketsOn } from './proc-net.js';

export interface Holder {
  readonly uid: number;
  /** Absent when this user may not look into it. */
  readonly process?: { readonly name: string; readonly pid: number };
}

/** undefined when no socket in this network namespace's table explains the conflict. */
export async function findHolder(at: {
  address: string;
  port: number;
  transport: Transport;
}): Promise<Holder | undefined> {
  const table = at.transport;
  if (table === 'sctp') return undefined;
  // A conflict across the families is the rarer one: IPV6_V6ONLY rules it out.
  const names = isIPv6(at.address)
    ? ([`${table}6`, table] as const)
    : ([table, `${table}6`] as const);
  const tables = await Promise.all(names.map((name) => socketsOn('self', name, at.port)));
  const rivals = tables
    .flat()
    .filter(({ state }) => state !== SOCKET_STATE.timeWait)
    .filter(({ address }) => overlap(address, at.address));
  const socket = rivals.find(({ state }) => state === SOCKET_STATE.listen) ?? rivals[0];
  if (socket === undefined) {
    return undefined;
  }
  const process = await findProcess(socket.inode);
  return { uid: socket.uid, ...(process === undefined ? {} : { process }) };
}

function overlap(a: string, b: string): boolean {
  const [first, second] = [ipaddr.process(withoutZone(a)), ipaddr.process(withoutZone(b))];
  const wildcard = first.range() === 'unspecified' || second.range() === 'unspecified';
  return wildcard || first.toString() === second.toString();
}

function withoutZone(address: string): string {
  return address.replace(/%.*/, '');
}

async function findProcess(inode: string): Promise<Holder['process']> {
  for (const pid of await fs.readdir('/proc')) {
    if (/^\d+$/.test(pid) && (await hasSocket(pid, inode))) {
      const name = await fs.readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '?');
      return { name: name.trim(), pid: Number(pid) };
    }
  }
  return undefined;
}

/** False, too, for a process that has ended or is another user's. */
async function hasSocket(pid: string, inode: string): Promise<boolean> {
  const fds = await fs.readdir(`/proc/${pid}/fd`).catch(() => []);
  for (const fd of fds) {
    const target = await fs.readlink(`/proc/${pid}/fd/${fd}`).catch(() => '');
    if (target === `socket:[${inode}]`) {
      return true;
    }
  }
  return false;
}
