/** System calls on sockets that every transport makes, once or twice in a flow's life. */

import * as libc from '../msg/libc.js';
import * as linux from '../msg/linux.js';
import { OUT_MARK } from '../msg/marks.js';

const INT_BYTES = 4;
const LENGTH_OFFSET = 8;
const ADDRESS_OFFSET = 64;
/** An int at 0, its length at LENGTH_OFFSET, a sockaddr at ADDRESS_OFFSET. */
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
