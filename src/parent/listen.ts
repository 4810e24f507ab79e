/**
 * Binds the host sockets of a port.
 *
 * Every family gets a socket of its own, so that `tcp4` and `tcp6` never meet; a wildcard address
 * of a protocol without a suffix means both. Options that accepted sockets inherit are set here,
 * once, instead of on every connection.
 */

import { SluiceError } from '../msg/errors.js';
import { errnoName, Fd, must } from '../msg/fd.js';
import * as libc from '../msg/libc.js';
import * as linux from '../msg/linux.js';
import { type Spec, type Transport, transportOf } from '../msg/port.js';
import { setSctpOptions } from '../msg/sctp.js';
import { encodeSockAddr, familyOf, parseIP, unmapped } from '../msg/sockaddr.js';
import { SOCKET_KINDS } from '../msg/transports.js';
import { setDatagramOptions, setPktinfo } from '../msg/udp-options.js';
import { explainBindError } from './bind-error.js';

/** The kernel lowers it to net.core.somaxconn. */
const BACKLOG = 65535;
const KEEPALIVE_IDLE_S = 60;
const KEEPALIVE_INTERVAL_S = 15;
const KEEPALIVE_PROBES = 8;
/**
 * What an association with a client may have; with the server, it gets as many. The kernel takes 24
 * bytes for every stream out from the start, whether it is used or not.
 */
const MOST_STREAMS = { in: 65_535, out: 4096 };
/** struct ifreq: the interface's name with its NUL, then here its index as an int. */
const IFREQ_BYTES = 40;
const IFNAMSIZ = 16;

/** The listening address of one host socket. */
export interface HostAddress {
  readonly ip: string;
  readonly port: number;
  /** The other family of a wildcard: no reason to fail on a host that has no IPv6. */
  readonly isOptional: boolean;
}

const scratch = libc.allocate(4096);

/** The addresses that a spec listens on. */
export function hostAddresses({ proto, parentIP = '', parentPort: port }: Spec): HostAddress[] {
  const ip = parentIP === '' ? '' : unmapped(parentIP);
  if (ip !== '' && !isWildcard(ip)) return [{ ip, port, isOptional: false }];
  const v4 = { ip: '0.0.0.0', port, isOptional: false };
  const v6 = { ip: '::', port, isOptional: false };
  if (proto.endsWith('4')) return [v4];
  if (proto.endsWith('6')) return [v6];
  return [v4, { ...v6, isOptional: !ip.includes(':') }];
}

/** True when the kernel lets only one of the two listen. */
export function overlaps(one: HostAddress, other: HostAddress): boolean {
  if (one.port !== other.port || familyOf(one.ip) !== familyOf(other.ip)) return false;
  return isWildcard(one.ip) || isWildcard(other.ip) || canonical(one.ip) === canonical(other.ip);
}

function isWildcard(ip: string): boolean {
  return ip === '0.0.0.0' || parseIP(ip).toString() === '::';
}

function canonical(ip: string): string {
  const zone = ip.split('%')[1] ?? '';
  return `${parseIP(ip).toString()}%${zone}`;
}

/** Listens on all of the spec's addresses, or on none: rejects with what to do about it. */
export async function listenAll(spec: Spec): Promise<Fd[]> {
  const sockets: Fd[] = [];
  try {
    for (const address of hostAddresses(spec)) {
      const result = listenOn(address, transportOf(spec.proto));
      if (result instanceof Fd) sockets.push(result);
      else if (!address.isOptional || !isFamilyMissing(result)) {
        throw await explainBindError(errnoName(result), {
          address: address.ip,
          port: address.port,
          proto: spec.proto,
        });
      }
    }
    return sockets;
  } catch (error) {
    for (const socket of sockets) socket.close();
    throw error;
  }
}

/** A socket that takes what comes to the address, or the negative errno. */
function listenOn({ ip, port }: HostAddress, transport: Transport): Fd | number {
  const zone = ip.split('%')[1];
  const sockaddr = encodeSockAddr({ ip, port }, zone === undefined ? 0 : interfaceIndex(zone));
  const family = familyOf(ip);
  const { type, protocol } = SOCKET_KINDS[transport];
  const number = libc.socket(family, type | linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC, protocol);
  if (number < 0) return number;
  const socket = new Fd(number);
  if (family === linux.AF_INET6) setOption(number, linux.IPPROTO_IPV6, linux.IPV6_V6ONLY, 1);
  if (transport === 'tcp') setTcpOptions(number);
  if (transport === 'udp') {
    setDatagramOptions(number, family);
    setPktinfo(number, family);
  }
  if (transport === 'sctp') setSctpOptions(number, MOST_STREAMS);
  // Connections of an earlier run in TIME_WAIT don't keep the address busy. On UDP sockets the
  // option would let two of them have one address.
  if (transport !== 'udp') setOption(number, linux.SOL_SOCKET, linux.SO_REUSEADDR, 1);
  scratch.bytes.set(sockaddr);
  let result = libc.bind(number, scratch.address, sockaddr.length);
  if (result === 0 && transport !== 'udp') result = libc.listen(number, BACKLOG);
  if (result === 0) return socket;
  socket.close();
  return result;
}

function setTcpOptions(fd: number): void {
  setOption(fd, linux.IPPROTO_TCP, linux.TCP_NODELAY, 1);
  // Urgent data stays in its place in the stream.
  setOption(fd, linux.SOL_SOCKET, linux.SO_OOBINLINE, 1);
  setOption(fd, linux.SOL_SOCKET, linux.SO_KEEPALIVE, 1);
  setOption(fd, linux.IPPROTO_TCP, linux.TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
  setOption(fd, linux.IPPROTO_TCP, linux.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
  setOption(fd, linux.IPPROTO_TCP, linux.TCP_KEEPCNT, KEEPALIVE_PROBES);
}

function setOption(fd: number, level: number, name: number, value: number): void {
  scratch.view.setInt32(0, value, true);
  libc.setsockopt(fd, level, name, scratch.address, 4);
}

/** By netdevice(7): /sys shows the interfaces of the namespace that it was mounted in. */
function interfaceIndex(zone: string): number {
  const type = linux.SOCK_STREAM | linux.SOCK_CLOEXEC;
  using socket = new Fd(must(libc.socket(linux.AF_INET6, type, 0), 'socket'));
  scratch.bytes.fill(0, 0, IFREQ_BYTES);
  scratch.bytes.write(zone.slice(0, IFNAMSIZ - 1), 'latin1');
  const isFound = libc.ioctl(socket.number, linux.SIOCGIFINDEX, scratch.address) === 0;
  if (isFound && zone.length < IFNAMSIZ) return scratch.view.getInt32(IFNAMSIZ, true);
  throw new SluiceError(
    'ERR_ZONE',
    `there is no network interface ${zone}; \`ip link\` lists those of this host`,
  );
}

function isFamilyMissing(result: number): boolean {
  return result === linux.EAFNOSUPPORT || result === linux.EADDRNOTAVAIL;
}
