/** Which transports the kernel makes sockets of: SCTP is a module that many lack. */

import * as libc from './libc.js';
import * as linux from './linux.js';
import { type Transport, TRANSPORTS } from './port.js';

export interface SocketKind {
  readonly type: number;
  readonly protocol: number;
}

export const SOCKET_KINDS: Readonly<Record<Transport, SocketKind>> = {
  tcp: { type: linux.SOCK_STREAM, protocol: linux.IPPROTO_TCP },
  udp: { type: linux.SOCK_DGRAM, protocol: linux.IPPROTO_UDP },
  sctp: { type: linux.SOCK_STREAM, protocol: linux.IPPROTO_SCTP },
};

/** In this process's network namespace. The kernel loads the module if it may and can. */
export function kernelTransports(): Transport[] {
  return TRANSPORTS.filter((transport) => {
    const { type, protocol } = SOCKET_KINDS[transport];
    const fd = libc.socket(linux.AF_INET, type | linux.SOCK_CLOEXEC, protocol);
    if (fd >= 0) libc.close(fd);
    return fd !== linux.EPROTONOSUPPORT;
  });
}
