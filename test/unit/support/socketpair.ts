/** The ends of a control channel, and what a broken or hostile peer would send through one. */
import { readdirSync } from 'node:fs';
import { Fd, must } from '../../../src/msg/fd.js';
import * as libc from '../../../src/msg/libc.js';
import * as linux from '../../../src/msg/linux.js';

/** SCM_MAX_FD of include/net/scm.h: the kernel passes no more at once. */
export const MAX_PASSED_FDS = 253;

/** struct msghdr at 0, its iovec at 56, the control buffer at 128, the data at DATA_OFFSET. */
const DATA_OFFSET = 4096;
const MAX_DATA_BYTES = 128 * 1024;
const CONTROL_OFFSET = 128;
const memory = libc.allocate(DATA_OFFSET + MAX_DATA_BYTES);

/** The fds of this process; only meaningful to compare where nothing is awaited in between. */
export function openFds(): number {
  return readdirSync('/proc/self/fd').length;
}

/** One sendmsg(2) of any bytes, with any fds. */
export function sendRaw(socket: Fd, bytes: Uint8Array, fds: readonly number[] = []): void {
  const { view, address } = memory;
  const controlBytes = fds.length === 0 ? 0 : 16 + 4 * fds.length;
  memory.bytes.fill(0, 0, DATA_OFFSET);
  memory.bytes.set(bytes, DATA_OFFSET);
  view.setBigUint64(16, BigInt(address + 56), true);
  view.setBigUint64(24, 1n, true);
  view.setBigUint64(32, BigInt(address + CONTROL_OFFSET), true);
  view.setBigUint64(40, BigInt((controlBytes + 7) & ~7), true);
  view.setBigUint64(56, BigInt(address + DATA_OFFSET), true);
  view.setBigUint64(64, BigInt(bytes.length), true);
  view.setBigUint64(CONTROL_OFFSET, BigInt(controlBytes), true);
  view.setInt32(CONTROL_OFFSET + 8, linux.SOL_SOCKET, true);
  view.setInt32(CONTROL_OFFSET + 12, linux.SCM_RIGHTS, true);
  fds.forEach((fd, index) => view.setInt32(CONTROL_OFFSET + 16 + 4 * index, fd, true));
  const sent = must(libc.sendmsg(socket.number, address, linux.MSG_NOSIGNAL), 'sendmsg');
  if (sent !== bytes.length) throw new Error(`sent ${sent} of ${bytes.length} bytes`);
}

/** A length and then `body`, whatever that is. */
export function rawFrame(body: Uint8Array | string): Buffer {
  const bytes = Buffer.from(body);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** A pipe's two ends: the reading one, then the writing one. */
export function pipe(): [Fd, Fd] {
  must(libc.pipe2(memory.address, linux.O_CLOEXEC | linux.O_NONBLOCK), 'pipe2');
  return [new Fd(memory.view.getInt32(0, true)), new Fd(memory.view.getInt32(4, true))];
}

/** Runs `body` while this process can open `count` more fds and no others. */
export function withFreeFds(count: number, body: () => void): void {
  const fillers: Fd[] = [];
  must(libc.getrlimit(linux.RLIMIT_NOFILE, memory.address), 'getrlimit');
  const soft = memory.view.getBigUint64(0, true);
  // The lowest free numbers come first: those below the new limit are the `count` ones.
  for (let index = 0; index <= count; index++) fillers.push(new Fd(must(libc.dup(0), 'dup')));
  const limit = Math.max(...fillers.map(({ number }) => number));
  for (const filler of fillers) filler.close();
  memory.view.setBigUint64(0, BigInt(limit), true);
  must(libc.setrlimit(linux.RLIMIT_NOFILE, memory.address), 'setrlimit');
  try {
    body();
  } finally {
    memory.view.setBigUint64(0, soft, true);
    must(libc.setrlimit(linux.RLIMIT_NOFILE, memory.address), 'setrlimit');
  }
}

/** What a recv(2) would give now, taken from nobody: the bytes stay where they are. */
export function pendingBytes(socket: Fd): number {
  const flags = linux.MSG_PEEK | linux.MSG_DONTWAIT;
  return Math.max(0, libc.recv(socket.number, memory.address + DATA_OFFSET, 4096, flags));
}
