/**
 * The sockets with which dockerd holds published ports, read by duplicates: a TCP socket that is
 * bound and doesn't listen yet stands in no table of the kernel's.
 */

import { readdirSync, readlinkSync } from 'node:fs';
import { Fd } from '../../msg/fd.js';
import * as libc from '../../msg/libc.js';
import * as linux from '../../msg/linux.js';
import { openPidfd } from '../../msg/pidfd.js';
import type { Transport } from '../../msg/port.js';
import { type Address, decodeSockAddr, SOCKADDR_IN6_BYTES } from '../../msg/sockaddr.js';

export interface ReservedSocket extends Address {
  readonly proto: Transport;
  readonly isListening: boolean;
}

const PROTOCOLS: Readonly<Record<number, Transport>> = {
  [linux.IPPROTO_TCP]: 'tcp',
  [linux.IPPROTO_UDP]: 'udp',
  [linux.IPPROTO_SCTP]: 'sctp',
};

const SOCKADDR_OFFSET = 8;
/** An int and its length, or an address's length in its place; then the address. */
const scratch = libc.allocate(SOCKADDR_OFFSET + SOCKADDR_IN6_BYTES);

/** Empty for a process that has ended, or that the kernel doesn't let this user look into. */
export function reservedSockets(pid: number): ReservedSocket[] {
  try {
    using pidfd = openPidfd(pid);
    return socketFds(pid).flatMap((fd) => {
      const copied = libc.pidfdGetfd(pidfd.number, fd);
      if (copied < 0) return [];
      using socket = new Fd(copied);
      return reservation(socket.number) ?? [];
    });
  } catch {
    return [];
  }
}

function socketFds(pid: number): number[] {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder)
    .filter((fd) => isSocket(`${folder}/${fd}`))
    .map(Number);
}

function isSocket(link: string): boolean {
  try {
    return readlinkSync(link).startsWith('socket:');
  } catch {
    return false;
  }
}

/**
 * Undefined for a socket of the engine's own API: Go's sockets that accept are non-blocking, those
 * that hold a port are not.
 */
function reservation(socket: number): ReservedSocket | undefined {
  const domain = option(socket, linux.SO_DOMAIN);
  if (domain !== linux.AF_INET && domain !== linux.AF_INET6) return undefined;
  const proto = PROTOCOLS[option(socket, linux.SO_PROTOCOL)];
  const isListening = option(socket, linux.SO_ACCEPTCONN) === 1;
  const isBlocking = (libc.fcntl(socket, linux.F_GETFL, 0) & linux.O_NONBLOCK) === 0;
  if (proto === undefined || (isListening && !isBlocking)) return undefined;
  scratch.view.setUint32(0, SOCKADDR_IN6_BYTES, true);
  const at = scratch.address + SOCKADDR_OFFSET;
  if (libc.getsockname(socket, at, scratch.address) < 0) return undefined;
  const address = decodeSockAddr(new DataView(scratch.view.buffer, SOCKADDR_OFFSET));
  return { proto, ...address, isListening };
}

function option(socket: number, name: number): number {
  scratch.view.setUint32(4, 4, true);
  const { address } = scratch;
  const result = libc.getsockopt(socket, linux.SOL_SOCKET, name, address, address + 4);
  return result < 0 ? result : scratch.view.getInt32(0, true);
}
