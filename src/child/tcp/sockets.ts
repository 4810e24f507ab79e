/** What is particular to TCP among the system calls on a connection's sockets. */

import { readFileSync } from 'node:fs';
import * as libc from '../../msg/libc.js';
import * as linux from '../../msg/linux.js';
import { setIntOption, startConnect } from '../sockets.js';

/**
 * Bytes in flight to a server in the child namespace. The leg is local, its round trip takes
 * microseconds: a larger buffer gains nothing and falls out of the cache. The kernel doubles it.
 */
const LOCAL_SEND_BUFFER_BYTES = 256 * 1024;

/** A container that is taken off its network sends no FIN: only probes find that it is gone. */
const KEEPALIVE_IDLE_S = 60;
const KEEPALIVE_INTERVAL_S = 15;

const scratch = libc.allocate(4096);

const DEFAULT_CONTROL_FILE = '/proc/sys/net/ipv4/tcp_congestion_control';
/** Every process may choose it: tcp_allowed_congestion_control. */
const UNPACED_CONTROL = Buffer.from('reno\0');
const unpacedControl = libc.allocate(UNPACED_CONTROL.length);
unpacedControl.bytes.set(UNPACED_CONTROL);
const pacesByDefault = readDefaultControl().startsWith('bbr');

/** As `startConnect`, with a new socket. */
export function connectTo(server: Uint8Array, source?: Uint8Array): number {
  const type = linux.SOCK_STREAM | linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC;
  const fd = libc.socket(server[0] as number, type, 0);
  if (fd < 0) return fd;
  setIntOption(fd, linux.IPPROTO_TCP, linux.TCP_NODELAY, 1);
  setIntOption(fd, linux.SOL_SOCKET, linux.SO_OOBINLINE, 1);
  setIntOption(fd, linux.SOL_SOCKET, linux.SO_SNDBUF, LOCAL_SEND_BUFFER_BYTES);
  setIntOption(fd, linux.SOL_SOCKET, linux.SO_KEEPALIVE, 1);
  setIntOption(fd, linux.IPPROTO_TCP, linux.TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
  setIntOption(fd, linux.IPPROTO_TCP, linux.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
  dontPace(fd);
  return startConnect(fd, server, source);
}

/**
 * For a leg within this machine, where nothing is ever congested: bbr, which many hosts have as
 * their default, would send every buffer there by a timer.
 */
export function dontPace(fd: number): void {
  if (!pacesByDefault) return;
  const { address } = unpacedControl;
  libc.setsockopt(fd, linux.IPPROTO_TCP, linux.TCP_CONGESTION, address, UNPACED_CONTROL.length);
}

function readDefaultControl(): string {
  try {
    return readFileSync(DEFAULT_CONTROL_FILE, 'utf8');
  } catch {
    // Hidden in some containers: cubic, the kernel's own default, doesn't pace.
    return '';
  }
}

/** Bytes that the peer hasn't acknowledged yet; 0 when the socket is dead. */
export function sendQueueBytes(fd: number): number {
  return libc.ioctl(fd, linux.SIOCOUTQ, scratch.address) < 0 ? 0 : scratch.view.getInt32(0, true);
}
