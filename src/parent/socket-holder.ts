/** Finds the process that has a TCP or UDP port, as far as this user may look. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { endianness } from 'node:os';
import ipaddr from 'ipaddr.js';
import type { Transport } from '../msg/port.js';

export interface Holder {
  readonly uid: number;
  /** Absent when this user may not look into it. */
  readonly process?: { readonly name: string; readonly pid: number };
}

interface Socket {
  readonly address: string;
  readonly uid: number;
  readonly inode: string;
  readonly listening: boolean;
}

/** proc(5) has such tables of these; SCTP's looks different. */
const TABLES: Readonly<Partial<Record<Transport, string>>> = { tcp: 'tcp', udp: 'udp' };

// include/net/tcp_states.h
const TCP_TIME_WAIT = '06';
const TCP_LISTEN = '0A';

/** undefined when no socket in this network namespace's table explains the conflict. */
export async function findHolder(at: {
  address: string;
  port: number;
  transport: Transport;
}): Promise<Holder | undefined> {
  const table = TABLES[at.transport];
  if (table === undefined) return undefined;
  // A conflict across the families is the rarer one: IPV6_V6ONLY rules it out.
  const names = isIPv6(at.address) ? [`${table}6`, table] : [table, `${table}6`];
  const tables = await Promise.all(names.map((name) => readTable(name, at.port)));
  const rivals = tables.flat().filter((socket) => overlap(socket.address, at.address));
  const socket = rivals.find(({ listening }) => listening) ?? rivals[0];
  if (socket === undefined) {
    return undefined;
  }
  const process = await findProcess(socket.inode);
  return { uid: socket.uid, ...(process === undefined ? {} : { process }) };
}

/** proc_net(5): sl, local address, remote address, state, ..., uid (8th), timeout, inode (10th). */
async function readTable(name: string, port: number): Promise<Socket[]> {
  const text = await readFile(`/proc/net/${name}`, 'utf8').catch(() => '');
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  const sockets: Socket[] = [];
  for (const line of text.split('\n')) {
    const fields = line.trim().split(/\s+/);
    const [hexAddress = '', hexPort] = (fields[1] ?? '').split(':');
    const [state, uid, inode] = [fields[3], fields[7], fields[9]];
    if (hexPort !== wanted || inode === undefined || state === TCP_TIME_WAIT) {
      continue;
    }
    const listening = state === TCP_LISTEN;
    sockets.push({ address: decodeAddress(hexAddress), uid: Number(uid), inode, listening });
  }
  return sockets;
}

/** The kernel prints 32-bit words in host byte order. */
function decodeAddress(hex: string): string {
  const bytes = Buffer.from(hex, 'hex');
  return ipaddr.fromByteArray([...(endianness() === 'LE' ? bytes.swap32() : bytes)]).toString();
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
  for (const pid of await readdir('/proc')) {
    if (/^\d+$/.test(pid) && (await hasSocket(pid, inode))) {
      const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '?');
      return { name: name.trim(), pid: Number(pid) };
    }
  }
  return undefined;
}

/** False, too, for a process that has ended or is another user's. */
async function hasSocket(pid: string, inode: string): Promise<boolean> {
  const fds = await readdir(`/proc/${pid}/fd`).catch(() => []);
  for (const fd of fds) {
    const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '');
    if (target === `socket:[${inode}]`) {
      return true;
    }
  }
  return false;
}
