/** The system calls on SCTP sockets that are made once or twice in an association's life. */

import * as libc from '../../msg/libc.js';
import * as linux from '../../msg/linux.js';
import { setSctpOptions, streamsOf } from '../../msg/sctp.js';
import { setIntOption, startConnect } from '../sockets.js';

/** Nine u32 at present; the kernel writes as many as fit. */
const MEMINFO_BYTES = 64;
const LENGTH_OFFSET = MEMINFO_BYTES;
const scratch = libc.allocate(4096);

/**
 * As `startConnect`, with a new socket that asks the server for as many streams as the client's
 * association has. No keepalive: heartbeats are part of the protocol.
 */
export function connectTo(
  server: Uint8Array,
  source: Uint8Array | undefined,
  clientFd: number,
): number {
  const family = server[0] as number;
  const type = linux.SOCK_STREAM | linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC;
  const fd = libc.socket(family, type, linux.IPPROTO_SCTP);
  if (fd < 0) return fd;
  // Else the server would be offered IPv4 addresses as well.
  if (family === linux.AF_INET6) setIntOption(fd, linux.IPPROTO_IPV6, linux.IPV6_V6ONLY, 1);
  const client = streamsOf(clientFd);
  // 0 is the kernel's choice: the client has gone already.
  setSctpOptions(fd, { in: client?.out ?? 0, out: client?.in ?? 0 });
  return startConnect(fd, server, source);
}

/** Not 0 while the peer hasn't acknowledged all that was sent to it; 0 when the socket is dead. */
export function unacknowledged(fd: number): number {
  scratch.view.setUint32(LENGTH_OFFSET, MEMINFO_BYTES, true);
  const { address } = scratch;
  const length = address + LENGTH_OFFSET;
  const result = libc.getsockopt(fd, linux.SOL_SOCKET, linux.SO_MEMINFO, address, length);
  return result < 0 ? 0 : scratch.view.getUint32(4 * linux.SK_MEMINFO_WMEM_QUEUED, true);
}
