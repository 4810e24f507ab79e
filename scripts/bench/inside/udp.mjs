// What the UDP sender and receiver of a benchmark have in common: their datagrams, and a socket that
// libc is called for directly, so that neither end is slower than what lies between them.
import { encodeSockAddr, familyOf } from '../../../dist/msg/sockaddr.js';
import { must } from '../../../dist/msg/fd.js';
import * as libc from '../../../dist/msg/libc.js';
import * as linux from '../../../dist/msg/linux.js';

/** Shorter than every datagram of data. Its first byte is one of these, then the number of a run. */
export const COMMAND_BYTES = 16;
/** Starts a run: what was counted is forgotten. The answer is the command itself. */
export const RESET = 1;
/** The answer is `report` of udp-sink.mjs. */
export const REPORT = 2;
/** The answer is the command itself. */
export const ECHO = 3;

/** What the kernel gives without privileges, at most: net.core.rmem_max. */
const BUFFER_BYTES = 4 * 1024 * 1024;

const scratch = libc.allocate(64);

/**
 * A non-blocking socket.
 * @param {(fd: number, address: number, length: number) => number} call bind(2) or connect(2)
 * @param {string} ip
 * @param {number} port
 */
export function openUdp(call, ip, port) {
  const type = linux.SOCK_DGRAM | linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC;
  const fd = must(libc.socket(familyOf(ip), type, 0), 'socket');
  setOption(fd, linux.SOL_SOCKET, linux.SO_RCVBUF, BUFFER_BYTES);
  const address = encodeSockAddr({ ip, port });
  scratch.bytes.set(address);
  must(call(fd, scratch.address, address.length), call.name);
  return fd;
}

/**
 * @param {number} fd
 * @param {number} level
 * @param {number} name
 * @param {number} value
 */
export function setOption(fd, level, name, value) {
  scratch.view.setInt32(0, value, true);
  must(libc.setsockopt(fd, level, name, scratch.address, 4), 'setsockopt');
}

/**
 * Lays out a struct msghdr with one buffer at the start of a region: its control message lies at
 * CONTROL, see cmsg(3).
 * @param {import('../../../dist/msg/libc.js').Region} region
 * @param {{ address: number, bytes: { length: number } }} buffer
 * @param {{ nameBytes?: number, controlBytes?: number }} [room]
 */
export function writeHeader(region, buffer, { nameBytes = 0, controlBytes = 0 } = {}) {
  const { view, address } = region;
  view.setBigUint64(0, BigInt(nameBytes === 0 ? 0 : address + NAME), true);
  view.setUint32(8, nameBytes, true);
  view.setBigUint64(16, BigInt(address + IOVEC), true);
  view.setBigUint64(24, 1n, true);
  view.setBigUint64(32, BigInt(controlBytes === 0 ? 0 : address + CONTROL), true);
  view.setBigUint64(40, BigInt(controlBytes), true);
  view.setBigUint64(IOVEC, BigInt(buffer.address), true);
  view.setBigUint64(IOVEC + 8, BigInt(buffer.bytes.length), true);
}

export const IOVEC = 64;
export const NAME = 128;
export const CONTROL = 192;
export const HEADER_BYTES = 256;
export const CONTROL_BYTES = 24;

/**
 * Waits until the socket has something to be read.
 * @param {number} epoll
 * @param {number} timeoutMs
 */
export function isReadable(epoll, timeoutMs) {
  return libc.epollWait(epoll, scratch.address, 1, timeoutMs) > 0;
}

/** @param {number} fd */
export function watch(fd) {
  const epoll = must(libc.epollCreate1(linux.EPOLL_CLOEXEC), 'epoll_create1');
  scratch.view.setInt32(0, linux.EPOLLIN, true);
  must(libc.epollCtl(epoll, linux.EPOLL_CTL_ADD, fd, scratch.address), 'epoll_ctl');
  return epoll;
}
