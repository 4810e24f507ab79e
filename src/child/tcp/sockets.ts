/** The system calls on TCP sockets that are made once or twice in a connection's life. */

import * as libc from '../../msg/libc.js';
import * as linux from '../../msg/linux.js';
import { SOCKADDR_IN6_BYTES } from '../../msg/sockaddr.js';

/**
 * Bytes in flight to a server in the child namespace. The leg is local, its round trip takes
 * microseconds: a larger buffer gains nothing and falls out of the cache. The kernel doubles it.
 */
const LOCAL_SEND_BUFFER_BYTES = 128 * 1024;

const INT_BYTES = 4;
const ADDRESS_OFFSET = 64;
/** An int or struct linger at 0, its length at 8, a sockaddr at ADDRESS_OFFSET. */
const scratch = libc.allocate(4096);
const LENGTH_OFFSET = 8;

/** Sets an option of type int. Returns 0 or the negative errno. */
export function setIntOption(fd: number, level: number, name: number, value: number): number {
  scratch.view.setInt32(0, value, true);
  return libc.setsockopt(fd, level, name, scratch.address, INT_BYTES);
}

/** Starts to connect. Returns the new socket, or the negative errno. */
export function connectTo(sockaddr: Uint8Array): number {
  const family = sockaddr[0] as number;
  const type = linux.SOCK_STREAM | linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC;
  const fd = libc.socket(family, type, 0);
  if (fd < 0) return fd;
  setIntOption(fd, linux.IPPROTO_TCP, linux.TCP_NODELAY, 1);
  setIntOption(fd, linux.SOL_SOCKET, linux.SO_OOBINLINE, 1);
  setIntOption(fd, linux.SOL_SOCKET, linux.SO_SNDBUF, LOCAL_SEND_BUFFER_BYTES);
  scratch.bytes.set(sockaddr, ADDRESS_OFFSET);
  const result = libc.connect(fd, scratch.address + ADDRESS_OFFSET, sockaddr.length);
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

/** SO_ERROR, positive: how a connect ended. Reading it on an open connection would lose a reset. */
export function connectError(fd: number): number {
  return getSocketOption(fd, linux.SO_ERROR);
}

export function isListening(fd: number): boolean {
  return getSocketOption(fd, linux.SO_ACCEPTCONN) === 1;
}

function getSocketOption(fd: number, name: number): number {
  scratch.view.setUint32(LENGTH_OFFSET, INT_BYTES, true);
  const { address } = scratch;
  const result = libc.getsockopt(fd, linux.SOL_SOCKET, name, address, address + LENGTH_OFFSET);
  return result < 0 ? result : scratch.view.getInt32(0, true);
}

/** Makes the coming close a reset. */
export function resetOnClose(fd: number): void {
  scratch.view.setInt32(0, 1, true);
  scratch.view.setInt32(INT_BYTES, 0, true);
  libc.setsockopt(fd, linux.SOL_SOCKET, linux.SO_LINGER, scratch.address, 2 * INT_BYTES);
}

/** Bytes that the peer hasn't acknowledged yet; 0 when the socket is dead. */
export function sendQueueBytes(fd: number): number {
  return libc.ioctl(fd, linux.SIOCOUTQ, scratch.address) < 0 ? 0 : scratch.view.getInt32(0, true);
}

export function shutdownWrite(fd: number): void {
  libc.shutdown(fd, linux.SHUT_WR);
}
