/** What /proc/PID/net says about the network namespace of a process: proc_pid_net(5). */

import { promises as fs, readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import ipaddr from 'ipaddr.js';
import type { Transport } from '../msg/port.js';

/** Local address and port, peer and state in hexadecimal; queues, timers; user, timeout and inode. */
const SOCKET =
  /^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ ([0-9A-F]{2}) +\S+ +\S+ +\S+ +(\d+) +\d+ +(\d+)/gm;
/** include/net/tcp_states.h; a socket of UDP that takes what anybody sends is in `close`. */
export const SOCKET_STATE = { timeWait: '06', close: '07', listen: '0A' } as const;
/** The state of a socket that takes what anybody sends. */
const TAKING = { tcp: SOCKET_STATE.listen, udp: SOCKET_STATE.close } as const;
/** net/sctp/proc.c: state 10 is listening, then bucket, port, user, inode and all local addresses. */
const SCTP_ENDPOINT = /^ *\S+ \S+ \d+ +10 +\d+ +(\d+) +\d+ +\d+ +(.*)$/gm;

export interface BoundSocket {
  /** An IPv4 one where it is mapped into IPv6. */
  readonly address: string;
  readonly state: string;
  readonly uid: number;
  readonly inode: string;
}

/** SCTP's table is another one. */
export type SocketTable = `${Exclude<Transport, 'sctp'>}${'' | '6'}`;

/** Those with that local port. */
export async function socketsOn(
  pid: number | 'self',
  table: SocketTable,
  port: number,
): Promise<BoundSocket[]> {
  return [...(await netFile(pid, table)).matchAll(SOCKET)]
    .filter(([, , hex = '']) => Number.parseInt(hex, 16) === port)
    .map(([, hex = '', , state = '', uid, inode = '']) => {
      return { address: addressOf(inNetworkOrder(hex)), state, uid: Number(uid), inode };
    });
}

/** Addresses whose `port` somebody has bound, wildcards included; for TCP and SCTP, listens on. */
export async function boundAddresses(
  pid: number | 'self',
  transport: Transport,
  port: number,
): Promise<string[]> {
  if (transport === 'sctp') return sctpAddresses(await netFile(pid, 'sctp/eps'), port);
  const tables = [transport, `${transport}6`] as const;
  const sockets = await Promise.all(tables.map((table) => socketsOn(pid, table, port)));
  const taking = sockets.flat().filter(({ state }) => state === TAKING[transport]);
  return unique(taking.map(({ address }) => address));
}

/**
 * Whether one of the namespace's interfaces has the address. An IPv4 address is a route of the local
 * table (net/ipv4/fib_trie.c); the lines of if_inet6 begin with one of IPv6 in 32 digits.
 */
export function hasAddress(pid: number | 'self', ip: string): boolean {
  const parsed = ipaddr.process(ip);
  try {
    if (parsed.kind() === 'ipv4') {
      const text = readFileSync(`/proc/${pid}/net/fib_trie`, 'latin1');
      const [, ...leaves] = text.split(`|-- ${parsed.toString()}\n`);
      return leaves.some((leaf) => /^ +\/32 host LOCAL/.test(leaf));
    }
    const hex = Buffer.from(parsed.toByteArray()).toString('hex');
    return readFileSync(`/proc/${pid}/net/if_inet6`, 'latin1')
      .split('\n')
      .some((line) => line.startsWith(hex));
  } catch {
    return false;
  }
}

/** Empty for a process that has ended, and where the kernel lacks the protocol. */
function netFile(pid: number | 'self', name: string): Promise<string> {
  return fs.readFile(`/proc/${pid}/net/${name}`, 'latin1').catch(() => '');
}

function sctpAddresses(text: string, port: number): string[] {
  return [...text.matchAll(SCTP_ENDPOINT)]
    .filter(([, found]) => Number(found) === port)
    .flatMap(([, , addresses = '']) => addresses.trim().split(/[\s*]+/))
    .map((ip) => ipaddr.process(ip).toString());
}

/** Words of four bytes, each printed as a number of this machine's. */
function inNetworkOrder(hex: string): Buffer {
  const bytes = Buffer.from(hex, 'hex');
  return endianness() === 'LE' ? bytes.swap32() : bytes;
}

function addressOf(bytes: Buffer): string {
  return ipaddr.process(ipaddr.fromByteArray([...bytes]).toString()).toString();
}

function unique(addresses: readonly string[]): string[] {
  return [...new Set(addresses)];
}
