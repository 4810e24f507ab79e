/**
 * Questions to the kernel of one network namespace about routes and neighbours, as `ip route get` and
 * `ip neigh get` ask them: rtnetlink(7), linux/rtnetlink.h, linux/neighbour.h.
 */

import { openSync } from 'node:fs';
import ipaddr from 'ipaddr.js';
import { errnoName, Fd, must } from '../../msg/fd.js';
import { SluiceError } from '../../msg/errors.js';
import * as libc from '../../msg/libc.js';
import * as linux from '../../msg/linux.js';
import type { Transport } from '../../msg/port.js';
import { familyOf, parseIP } from '../../msg/sockaddr.js';

const HEADER_BYTES = 16;
/** struct rtmsg and struct ndmsg. */
const BODY_BYTES = 12;
const ATTRIBUTE_HEADER_BYTES = 4;
const NLM_F_REQUEST = 1;
const NLM_F_DUMP = 0x300;
const NLMSG_DONE = 3;
const NLMSG_ERROR = 2;
const RTM_GETROUTE = 26;
const RTM_GETNEIGH = 30;
/** struct fib_rule_hdr has 12 bytes, too: linux/fib_rules.h. */
const RTM_GETRULE = 34;
const FRA_FWMARK = 10;
const RTA = { dst: 1, src: 2, oif: 4, gateway: 5, via: 18, ipProto: 27, sport: 28 } as const;
const NDA_DST = 1;
/** struct rtvia: the address follows its family. */
const VIA_ADDRESS_OFFSET = 2;
const RTM_TYPE_OFFSET = HEADER_BYTES + 7;
const NDM_IFINDEX_OFFSET = 4;
const NDM_STATE_OFFSET = HEADER_BYTES + 8;
const RTN_UNICAST = 1;
const RTN_LOCAL = 2;
/** NUD_REACHABLE, STALE, DELAY, PROBE, NOARP and PERMANENT: there is, or was, an answer. */
const NUD_ANSWERED = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80;

const PROTOCOLS: Readonly<Record<Transport, number>> = {
  tcp: linux.IPPROTO_TCP,
  udp: linux.IPPROTO_UDP,
  sctp: linux.IPPROTO_SCTP,
};

const NO_ROUTE: ReadonlySet<number> = new Set([
  linux.ENETUNREACH,
  linux.EHOSTUNREACH,
  linux.EACCES,
]);

const IFNAME_BYTES = 16;
const IFREQ_BYTES = 40;
const buffer = libc.allocate(32 * 1024);

export type Route =
  | { readonly kind: 'none' }
  /** An address of the namespace itself. */
  | { readonly kind: 'local' }
  /** Without a gateway, the destination itself is asked for on the device's link. */
  | {
      readonly kind: 'via';
      readonly device: string;
      readonly index: number;
      readonly gateway?: string;
    };

export interface RouteQuery {
  readonly to: string;
  /** The address and port of a socket in the namespace. */
  readonly from?: { readonly ip: string; readonly port: number; readonly transport: Transport };
}

export class Netlink implements Disposable {
  readonly #socket = new Fd(
    must(
      libc.socket(linux.AF_NETLINK, linux.SOCK_RAW | linux.SOCK_CLOEXEC, 0),
      'socket(AF_NETLINK)',
    ),
  );

  route({ to, from }: RouteQuery): Route {
    const attributes = [attribute(RTA.dst, bytesOf(to))];
    if (from !== undefined) {
      attributes.push(
        attribute(RTA.src, bytesOf(from.ip)),
        attribute(RTA.ipProto, [PROTOCOLS[from.transport]]),
        attribute(RTA.sport, [from.port >> 8, from.port & 0xff]),
      );
    }
    const body = Buffer.alloc(BODY_BYTES);
    body[0] = familyOf(to);
    const bits = 8 * bytesOf(to).length;
    body[1] = bits;
    body[2] = from === undefined ? 0 : bits;
    const answer = this.#ask(RTM_GETROUTE, body, attributes);
    if (typeof answer === 'number') {
      // The kernel's word for a blackhole, but for a question that it doesn't understand, too.
      if (answer === linux.EINVAL && from !== undefined) {
        const plain = this.route({ to });
        if (plain.kind === 'none') return plain;
      }
      if (NO_ROUTE.has(answer) || (answer === linux.EINVAL && from === undefined)) {
        return { kind: 'none' };
      }
      throw new SluiceError(errnoName(answer), `no answer about the route to ${to}`);
    }
    const type = answer[RTM_TYPE_OFFSET];
    if (type === RTN_LOCAL) return { kind: 'local' };
    const found = attributesOf(answer);
    const index = found.get(RTA.oif)?.readUInt32LE(0);
    if (type !== RTN_UNICAST || index === undefined) return { kind: 'none' };
    const gateway = found.get(RTA.gateway) ?? found.get(RTA.via)?.subarray(VIA_ADDRESS_OFFSET);
    return {
      kind: 'via',
      device: this.#nameOf(index),
      index,
      ...(gateway !== undefined && { gateway: ipaddr.fromByteArray([...gateway]).toString() }),
    };
  }

  /** Whether a policy rule of the address's family looks at packets' marks: `ip rule`. */
  routesByMark(ip: string): boolean {
    const body = Buffer.alloc(BODY_BYTES);
    body[0] = familyOf(ip);
    this.#send(RTM_GETRULE, NLM_F_REQUEST | NLM_F_DUMP, body, []);
    for (;;) {
      const { address, bytes } = buffer;
      const received = must(libc.recv(this.#socket.number, address, bytes.length, 0), 'its answer');
      for (let at = 0; at + HEADER_BYTES <= received; ) {
        const size = bytes.readUInt32LE(at);
        const type = bytes.readUInt16LE(at + 4);
        if (type === NLMSG_DONE || type === NLMSG_ERROR || size < HEADER_BYTES) return false;
        if (attributesOf(bytes.subarray(at, at + size)).has(FRA_FWMARK)) return true;
        at += (size + 3) & ~3;
      }
    }
  }

  /** Whether somebody on the device's link has answered for the address lately. */
  hasNeighbour(ip: string, deviceIndex: number): boolean {
    const body = Buffer.alloc(BODY_BYTES);
    body[0] = familyOf(ip);
    body.writeInt32LE(deviceIndex, NDM_IFINDEX_OFFSET);
    const answer = this.#ask(RTM_GETNEIGH, body, [attribute(NDA_DST, bytesOf(ip))]);
    return (
      typeof answer !== 'number' && (answer.readUInt16LE(NDM_STATE_OFFSET) & NUD_ANSWERED) !== 0
    );
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  /** The answer as a whole message, or the negative errno. */
  #ask(type: number, body: Buffer, attributes: readonly Buffer[]): Buffer | number {
    this.#send(type, NLM_F_REQUEST, body, attributes);
    const { address, bytes } = buffer;
    const received = must(libc.recv(this.#socket.number, address, bytes.length, 0), 'its answer');
    return bytes.readUInt16LE(4) === NLMSG_ERROR
      ? bytes.readInt32LE(HEADER_BYTES)
      : Buffer.from(bytes.subarray(0, received));
  }

  #send(type: number, flags: number, body: Buffer, attributes: readonly Buffer[]): void {
    const header = Buffer.alloc(HEADER_BYTES);
    const length =
      HEADER_BYTES + body.length + attributes.reduce((sum, one) => sum + one.length, 0);
    header.writeUInt32LE(length, 0);
    header.writeUInt16LE(type, 4);
    header.writeUInt16LE(flags, 6);
    const message = Buffer.concat([header, body, ...attributes]);
    message.copy(buffer.bytes);
    must(libc.send(this.#socket.number, buffer.address, message.length, 0), 'asking the kernel');
  }

  /** struct ifreq: netdevice(7). */
  #nameOf(index: number): string {
    buffer.bytes.fill(0, 0, IFREQ_BYTES);
    buffer.view.setUint32(IFNAME_BYTES, index, true);
    const result = libc.ioctl(this.#socket.number, linux.SIOCGIFNAME, buffer.address);
    return result < 0 ? `device ${index}` : cString(buffer.bytes.subarray(0, IFNAME_BYTES));
  }
}

/** A socket of the network namespace that process `pid` is in. */
export function netlinkIn(pid: number): Netlink {
  using own = networkNamespace('self');
  using theirs = networkNamespace(pid);
  must(libc.setns(theirs.number, linux.CLONE_NEWNET), `setns to the namespace of ${pid}`);
  try {
    return new Netlink();
  } finally {
    must(libc.setns(own.number, linux.CLONE_NEWNET), 'setns back');
  }
}

function networkNamespace(pid: number | 'self'): Fd {
  return new Fd(openSync(`/proc/${pid}/ns/net`, 'r'));
}

function bytesOf(ip: string): number[] {
  return parseIP(ip).toByteArray();
}

/** struct rtattr: its length, its type, the value; the next one starts at a multiple of four. */
function attribute(type: number, value: readonly number[]): Buffer {
  const length = ATTRIBUTE_HEADER_BYTES + value.length;
  const bytes = Buffer.alloc(aligned(length));
  bytes.writeUInt16LE(length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(value, ATTRIBUTE_HEADER_BYTES);
  return bytes;
}

function attributesOf(message: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  let at = HEADER_BYTES + BODY_BYTES;
  while (at + ATTRIBUTE_HEADER_BYTES <= message.length) {
    const length = message.readUInt16LE(at);
    if (length < ATTRIBUTE_HEADER_BYTES) break;
    found.set(
      message.readUInt16LE(at + 2),
      message.subarray(at + ATTRIBUTE_HEADER_BYTES, at + length),
    );
    at += aligned(length);
  }
  return found;
}

function aligned(length: number): number {
  return (length + 3) & ~3;
}

function cString(bytes: Buffer): string {
  return bytes.toString('latin1').replace(/\0.*/s, '');
}
