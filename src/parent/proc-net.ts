/** What /proc/PID/net says about the network namespace of a process: proc_pid_net(5). */

import { readFile } from 'node:fs/promises';
import ipaddr from 'ipaddr.js';
import type { Transport } from '../msg/port.js';

/** Hexadecimal local address and port, peer, then the state. */
const SOCKET = /^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ ([0-9A-F]{2}) /gm;
/** The state of a socket that takes what anybody sends. */
const TAKING = { tcp: '0A', udp: '07' } as const;
/** net/sctp/proc.c: state 10 is listening, then bucket, port, user, inode and all local addresses. */
const SCTP_ENDPOINT = /^ *\S+ \S+ \d+ +10 +\d+ +(\d+) +\d+ +\d+ +(.*)$/gm;
/** net/ipv4/fib_trie.c: an address of the namespace's own is a route of its local table. */
const LOCAL_ROUTE = /\|-- (\S+)\n +\/32 host LOCAL/g;
/** The address as 32 digits, then interface, prefix, scope, flags and name. */
const IF_INET6 = /^([0-9a-f]{32}) /gm;

/** Addresses whose `port` somebody has bound, wildcards included; for TCP and SCTP, listens on. */
export async function boundAddresses(
  pid: number | 'self',
  transport: Transport,
  port: number,
): Promise<string[]> {
  if (transport === 'sctp') return sctpAddresses(await netFile(pid, 'sctp/eps'), port);
  const files = [transport, `${transport}6`];
  const texts = await Promise.all(files.map((name) => netFile(pid, name)));
  const found = texts
    .flatMap((text) => [...text.matchAll(SOCKET)])
    .filter(([, , hex = '', state]) => {
      return Number.parseInt(hex, 16) === port && state === TAKING[transport];
    });
  return unique(found.map(([, hex = '']) => addressOf(inNetworkOrder(hex))));
}

/** The addresses of its interfaces. */
export async function ownAddresses(pid: number | 'self'): Promise<string[]> {
  const [ipv4, ipv6] = await Promise.all([netFile(pid, 'fib_trie'), netFile(pid, 'if_inet6')]);
  return unique([
    ...[...ipv4.matchAll(LOCAL_ROUTE)].map(([, ip = '']) => ip),
    ...[...ipv6.matchAll(IF_INET6)].map(([, hex = '']) => addressOf(Buffer.from(hex, 'hex'))),
  ]);
}

/** Empty for a process that has ended, and where the kernel lacks the protocol. */
function netFile(pid: number | 'self', name: string): Promise<string> {
  return readFile(`/proc/${pid}/net/${name}`, 'latin1').catch(() => '');
}

function sctpAddresses(text: string, port: number): string[] {
  return [...text.matchAll(SCTP_ENDPOINT)]
    .filter(([, found]) => Number(found) === port)
    .flatMap(([, , addresses = '']) => addresses.trim().split(/[\s*]+/))
    .map((ip) => ipaddr.process(ip).toString());
}

/** Words of four bytes, each printed as a number of this machine's: least significant byte last. */
function inNetworkOrder(hex: string): Buffer {
  return Buffer.from(hex, 'hex').swap32();
}

function addressOf(bytes: Buffer): string {
  return ipaddr.process(ipaddr.fromByteArray([...bytes]).toString()).toString();
}

function unique(addresses: readonly string[]): string[] {
  return [...new Set(addresses)];
}
