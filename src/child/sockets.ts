/** System calls on sockets that every transport makes, once or twice in a flow's life. */

import * as libc from '../msg/libc.js';
import * as linux from '../msg/linux.js';
import { OUT_MARK } from '../msg/marks.js';
import { SOCKADDR_IN6_BYTES } from '../msg/sockaddr.js';

const INT_BYTES = 4;
const LENGTH_OFFSET = 8;
const ADDRESS_OFFSET = 64;
/** An int or struct linger at 0, its length at LENGTH_OFFSET, a sockaddr at ADDRESS_OFFSET. */
const scratch = libc.allocate(4096);

/** Sets an option of type int. Returns 0 or the negative errno. */
export function setIntOption(fd: number, level: number, name: number, value: number): number {
  scratch.view.setInt32(0, value, true);
  return libc.setsockopt(fd, level, name, scratch.address, INT_BYTES);
}

/** An option of SOL_SOCKET that is an int, or the negative errno. */
export function getSocketOption(fd: number, name: number): number {
  scratch.view.setUint32(LENGTH_OFFSET, INT_BYTES, true);
  const { address } = scratch;
  const result = libc.getsockopt(fd, linux.SOL_SOCKET, name, address, address + LENGTH_OFFSET);
  return result < 0 ? result : scratch.view.getInt32(0, true);
}

/**
 * Binds to an address that belongs to somebody else, which takes CAP_NET_RAW here and the parent's
 * routes. Returns 0 or the negative errno.
 */
export function bindToSource(fd: number, family: number, source: Uint8Array): number {
  const transparent =
    family === linux.AF_INET
      ? setIntOption(fd, linux.IPPROTO_IP, linux.IP_TRANSPARENT, 1)
      : setIntOption(fd, linux.IPPROTO_IPV6, linux.IPV6_TRANSPARENT, 1);
  if (transparent < 0) return transparent;
  const marked = setIntOption(fd, linux.SOL_SOCKET, linux.SO_MARK, OUT_MARK);
  if (marked < 0) return marked;
  return withSockAddr(libc.bind, fd, source);
}

/** bind(2) or connect(2). */
export function withSockAddr(
  call: (fd: number, address: number, length: number) => number,
  fd: number,
  sockaddr: Uint8Array,
): number {
  scratch.bytes.set(sockaddr, ADDRESS_OFFSET);
  return call(fd, scratch.address + ADDRESS_OFFSET, sockaddr.length);
}

/** True for what a source address can be the reason of: worth another try without. */
export function isSourceProblem(error: number): boolean {
  return (
    error === linux.EADDRINUSE ||
    error === linux.EADDRNOTAVAIL ||
    error === linux.EINVAL ||
    error === linux.EPERM
  );
}

/** The same address, any port: sockaddr_in and sockaddr_in6 have the port in bytes 2 and 3. */
export function withoutPort(sockaddr: Uint8Array): Uint8Array {
  return Uint8Array.from(sockaddr).fill(0, 2, 4);
}

/**
 * Starts to connect a stream socket, from the `source` address if one is given: it belongs to
 * somebody else, so that takes CAP_NET_RAW here and the parent's routes. Returns `fd`; or closes it
 * and returns the negative errno.
 */
export function startConnect(fd: number, server: Uint8Array, source?: Uint8Array): number {
  let result = 0;
  if (source !== undefined) {
    // The client may use one port of its own for two of ours.
    setIntOption(fd, linux.SOL_SOCKET, linux.SO_REUSEADDR, 1);
    result = bindToSource(fd, server[0] as number, source);
  }
  if (result === 0) result = forbidden(withSockAddr(libc.connect, fd, server));
  if (result === 0 || result === linux.EINPROGRESS) return fd;
  libc.close(fd);
  return result;
}

/**
 * A rule or a policy that forbids the way may fail connect(2) by an errno that means a problem of the
 * source address when it comes from bind(2).
 */
export function forbidden(result: number): number {
  return result === linux.EINVAL || result === linux.EPERM ? linux.EACCES : result;
}

/** Accepts one connection, non-blocking. Returns its fd, or the negative errno. */
export function acceptFrom(listener: number): number {
  scratch.view.setUint32(LENGTH_OFFSET, SOCKADDR_IN6_BYTES, true);
  return libc.accept4(
    listener,
    scratch.address + ADDRESS_OFFSET,
    scratch.address + LENGTH_OFFSET,
    linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC,
  );
}

/** The address of the client that `acceptFrom` has just returned, as a sockaddr. */
export function acceptedAddress(): Buffer {
  const length = scratch.view.getUint32(LENGTH_OFFSET, true);
  return Buffer.from(scratch.bytes.subarray(ADDRESS_OFFSET, ADDRESS_OFFSET + length));
}

/** How a connect ended, as a negative errno. Asking an open connection would lose a reset. */
export function connectError(fd: number): number {
  const result = getSocketOption(fd, linux.SO_ERROR);
  return result > 0 ? -result : result;
}

export function isListening(fd: number): boolean {
  return getSocketOption(fd, linux.SO_ACCEPTCONN) === 1;
}

/** Makes the coming close a reset. */
export function resetOnClose(fd: number): void {
  scratch.view.setInt32(0, 1, true);
  scratch.view.setInt32(INT_BYTES, 0, true);
  libc.setsockopt(fd, linux.SOL_SOCKET, linux.SO_LINGER, scratch.address, 2 * INT_BYTES);
}

export function resetNow(fd: number): void {
  resetOnClose(fd);
  libc.close(fd);
}

export function shutdownWrite(fd: number): void {
  libc.shutdown(fd, linux.SHUT_WR);
}
