/**
 * Connects from addresses that are not this namespace's, as the agent does. Usage: node ... ATTEMPTS,
 * a JSON list of `Attempt`; writes what came of each as a line: the server's answer, or the name of
 * the errno and the call that gave it.
 */
import { getSystemErrorName } from 'node:util';
import * as libc from '../../src/msg/libc.js';
import { OUT_MARK } from '../../src/msg/marks.js';
import { type Address, encodeSockAddr, familyOf } from '../../src/msg/sockaddr.js';
import { AF_INET, SHUT_WR, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET } from '../../src/msg/linux.js';

export interface Attempt {
  readonly source: Address;
  readonly server: Address;
  /** What the agent does unless it is said here. */
  readonly without?: 'IP_TRANSPARENT' | 'SO_REUSEADDR';
  /** Left open until the end, else closed before the server does. */
  readonly hold?: boolean;
}

const IP_TRANSPARENT = [0, 19] as const;
const IPV6_TRANSPARENT = [41, 75] as const;
const SO_MARK = 36;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;

/** An answer comes from this machine's kernel; nobody answers what was routed elsewhere. */
const TIMEOUT_S = 2;

const VALUE = 0;
const SOCKADDR = 64;
const ANSWER = 128;
const ANSWER_BYTES = 256;
const memory = libc.allocate(4096);

function setOption(fd: number, level: number, name: number, value: number): void {
  memory.view.setInt32(VALUE, value, true);
  libc.setsockopt(fd, level, name, memory.address + VALUE, 4);
}

function setTimeLimit(fd: number, name: number): void {
  memory.view.setBigInt64(VALUE, BigInt(TIMEOUT_S), true);
  memory.view.setBigInt64(VALUE + 8, 0n, true);
  libc.setsockopt(fd, SOL_SOCKET, name, memory.address + VALUE, 16);
}

function withAddress(call: typeof libc.bind, fd: number, address: Address): number {
  const bytes = encodeSockAddr(address);
  memory.bytes.set(bytes, SOCKADDR);
  return call(fd, memory.address + SOCKADDR, bytes.length);
}

/** Closes before the server does, and waits for its FIN: the socket is in TIME_WAIT after that. */
function finish(fd: number): void {
  libc.shutdown(fd, SHUT_WR);
  libc.recv(fd, memory.address + ANSWER + ANSWER_BYTES, 1, 0);
  libc.close(fd);
}

function attempt({ source, server, without, hold }: Attempt): string {
  const family = familyOf(source.ip);
  const fd = libc.socket(family, SOCK_STREAM, 0);
  const [level, name] = family === AF_INET ? IP_TRANSPARENT : IPV6_TRANSPARENT;
  if (without !== 'IP_TRANSPARENT') setOption(fd, level, name, 1);
  if (without !== 'SO_REUSEADDR') setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  setOption(fd, SOL_SOCKET, SO_MARK, OUT_MARK);
  for (const limit of [SO_RCVTIMEO, SO_SNDTIMEO]) setTimeLimit(fd, limit);
  const bound = withAddress(libc.bind, fd, source);
  if (bound < 0) return `bind ${getSystemErrorName(bound)}`;
  const connected = withAddress(libc.connect, fd, server);
  if (connected < 0) return `connect ${getSystemErrorName(connected)}`;
  const length = libc.recv(fd, memory.address + ANSWER, ANSWER_BYTES, 0);
  if (hold !== true) finish(fd);
  if (length < 0) return `recv ${getSystemErrorName(length)}`;
  return memory.bytes.toString('latin1', ANSWER, ANSWER + length);
}

for (const one of JSON.parse(process.argv[2] ?? '') as Attempt[]) console.log(attempt(one));
