/** The system calls on UDP sockets that are made once or twice in a session's life. */

import * as libc from '../../msg/libc.js';
import * as linux from '../../msg/linux.js';
import { setDatagramOptions } from '../../msg/udp-options.js';
import {
  bindToSource,
  forbidden,
  getSocketOption,
  setIntOption,
  withSockAddr,
} from '../sockets.js';

/** SK_MEMINFO_DROPS of uapi/linux/sock_diag.h, in an array of u32. */
const MEMINFO_WORDS = 9;
const MEMINFO_DROPS_OFFSET = 8 * 4;
const LENGTH_OFFSET = 64;
const scratch = libc.allocate(4096);

/**
 * A socket connected to `server`, so that only its datagrams come in; bound to `source` first, if
 * one is given. Returns the negative errno on failure.
 *
 * SO_REUSEADDR holds for the moment of bind alone, for an address that another one gives up: with it
 * two sockets could have one address, one server, and each other's datagrams.
 */
export function connectTo(server: Uint8Array, source?: Uint8Array): number {
  const family = server[0] as number;
  const type = linux.SOCK_DGRAM | linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC;
  const fd = libc.socket(family, type, linux.IPPROTO_UDP);
  if (fd < 0) return fd;
  setDatagramOptions(fd, family);
  let result = 0;
  if (source !== undefined) {
    allowReuse(fd, true);
    result = bindToSource(fd, family, source);
    allowReuse(fd, false);
  }
  if (result === 0) result = forbidden(withSockAddr(libc.connect, fd, server));
  if (result === 0) return fd;
  libc.close(fd);
  return result;
}

/** Of a socket that is about to be closed: its address can be bound again before it is. */
export function giveUpAddress(fd: number): void {
  allowReuse(fd, true);
}

function allowReuse(fd: number, isAllowed: boolean): void {
  setIntOption(fd, linux.SOL_SOCKET, linux.SO_REUSEADDR, Number(isAllowed));
}

/** The family of a UDP socket; -1 for anything else. */
export function familyOfDatagrams(fd: number): number {
  if (getSocketOption(fd, linux.SO_TYPE) !== linux.SOCK_DGRAM) return -1;
  return getSocketOption(fd, linux.SO_DOMAIN);
}

/** True when an earlier datagram was refused; asking takes the error away. */
export function wasRefused(fd: number): boolean {
  return getSocketOption(fd, linux.SO_ERROR) === -linux.ECONNREFUSED;
}

/** Datagrams that the kernel has dropped because the socket's queue was full. */
export function queueDrops(fd: number): number {
  scratch.view.setUint32(LENGTH_OFFSET, MEMINFO_WORDS * 4, true);
  const { address } = scratch;
  const length = address + LENGTH_OFFSET;
  const result = libc.getsockopt(fd, linux.SOL_SOCKET, linux.SO_MEMINFO, address, length);
  return result < 0 ? 0 : scratch.view.getUint32(MEMINFO_DROPS_OFFSET, true);
}
