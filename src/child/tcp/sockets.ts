/** The system calls on TCP sockets that are made once or twice in a connection's life. */

import * as libc from '../../msg/libc.js';
import * as linux from '../../msg/linux.js';
import { SOCKADDR_IN6_BYTES } from '../../msg/sockaddr.js';
import { bindToSource, getSocketOption, setIntOption, withSockAddr } from '../sockets.js';

/**
 * Bytes in flight to a server in the child namespace. The leg is local, its round trip takes
 * microseconds: a larger buffer gains nothing and falls out of the cache. The kernel doubles it.
 */
const LOCAL_SEND_BUFFER_BYTES = 128 * 1024;

/** A container that is taken off its network sends no FIN: only probes find that it is gone. */
const KEEPALIVE_IDLE_S = 60;
const KEEPALIVE_INTERVAL_S = 15;

const INT_BYTES = 4;
const ADDRESS_OFFSET = 64;
/** An int or struct linger at 0, its length at 8, a sockaddr at ADDRESS_OFFSET. */
const scratch = libc.allocate(4096);
const LENGTH_OFFSET = 8;

/**
 * Starts to connect, from the `source` address if one is given: it belongs to somebody else, so that
 * takes CAP_NET_RAW here and the parent's routes. Returns the new socket, or the negative errno.
 */
export function connectTo(server: Uint8Array, source?: Uint8Array): number {
  const family = server[0] as number;
  const type = linux.SOCK_STREAM | linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC;
  const fd = libc.socket(family, type, 0);
  if (fd < 0) return fd;
  setIntOption(fd, linux.IPPROTO_TCP, linux.TCP_NODELAY, 1);
  setIntOption(fd, linux.SOL_SOCKET, linux.SO_OOBINLINE, 1);
  setIntOption(fd, linux.SOL_SOCKET, linux.SO_SNDBUF, LOCAL_SEND_BUFFER_BYTES);
  setIntOption(fd, linux.SOL_SOCKET, linux.SO_KEEPALIVE, 1);
  setIntOption(fd, linux.IPPROTO_TCP, linux.TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
  setIntOption(fd, linux.IPPROTO_TCP, linux.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
  if (source !== undefined) {
    // The client may use one port of its own for two of ours.
    setIntOption(fd, linux.SOL_SOCKET, linux.SO_REUSEADDR, 1);
  }
  let result = source === undefined ? 0 : bindToSource(fd, family, source);
  if (result === 0) result = withSockAddr(libc.connect, fd, server);
  if (result === 0 || result === linux.EINPROGRESS) return fd;
  libc.close(fd);
  return result;
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
export function acceptedAddress(): Uint8Array {
  const length = scratch.view.getUint32(LENGTH_OFFSET, true);
  return new Uint8Array(scratch.bytes.subarray(ADDRESS_OFFSET, ADDRESS_OFFSET + length));
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

/** Bytes that the peer hasn't acknowledged yet; 0 when the socket is dead. */
export function sendQueueBytes(fd: number): number {
  return libc.ioctl(fd, linux.SIOCOUTQ, scratch.address) < 0 ? 0 : scratch.view.getInt32(0, true);
}

export function shutdownWrite(fd: number): void {
  libc.shutdown(fd, linux.SHUT_WR);
}
