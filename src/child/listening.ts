/**
 * Whether somebody listens on an address of this namespace: asked of the kernel without a packet
 * (sock_diag(7)), since a refusal may also be a firewall's.
 */

import * as libc from '../msg/libc.js';
import {
  AF_INET,
  AF_INET6,
  AF_NETLINK,
  IPPROTO_TCP,
  SOCK_CLOEXEC,
  SOCK_RAW,
} from '../msg/linux.js';

const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const NLM_F_REQUEST = 0x1;
const NLM_F_DUMP = 0x300;
const NLMSG_DONE = 3;
const NLMSG_ERROR = 2;
const NLMSG_HEADER_BYTES = 16;
/** struct inet_diag_req_v2 of linux/inet_diag.h. */
const REQUEST_BYTES = NLMSG_HEADER_BYTES + 56;
const STATES_OFFSET = NLMSG_HEADER_BYTES + 4;
/** Of inet_diag_sockid in it: source port first, in network order. */
const ID_OFFSET = NLMSG_HEADER_BYTES + 8;
/** TCP_LISTEN of net/tcp_states.h. */
const LISTEN = 1 << 10;
/** struct inet_diag_msg: its sockid begins here, with two ports before the source address. */
const SOURCE_OFFSET = NLMSG_HEADER_BYTES + 4 + 4;
const SOURCE_PORT_OFFSET = NLMSG_HEADER_BYTES + 4;
const MESSAGE_BYTES = 72;
/** A u8: the socket takes no IPv4. */
const INET_DIAG_SKV6ONLY = 11;
const IPV4_MAPPED_PREFIX = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

const BUFFER_BYTES = 32 * 1024;
let memory: libc.Region | undefined;

/**
 * Whether a TCP socket listens on that address, or on every address of its family. Undefined where
 * the kernel can't tell.
 */
export function listens(server: Uint8Array): boolean | undefined {
  const families = server[0] === AF_INET ? [AF_INET, AF_INET6] : [AF_INET6];
  const answers = families.map((family) => listensIn(family, server));
  if (answers.includes(true)) return true;
  return answers.includes(undefined) ? undefined : false;
}

/** Undefined where the kernel can't tell. */
function listensIn(family: number, server: Uint8Array): boolean | undefined {
  const fd = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (fd < 0) return undefined;
  try {
    const buffer = (memory ??= libc.allocate(BUFFER_BYTES));
    writeRequest(buffer.view, family, server);
    if (libc.send(fd, buffer.address, REQUEST_BYTES, 0) < 0) return undefined;
    return readAnswer(fd, buffer, server);
  } finally {
    libc.close(fd);
  }
}

function writeRequest(view: DataView, family: number, server: Uint8Array): void {
  new Uint8Array(view.buffer, view.byteOffset, REQUEST_BYTES).fill(0);
  view.setUint32(0, REQUEST_BYTES, true);
  view.setUint16(4, SOCK_DIAG_BY_FAMILY, true);
  view.setUint16(6, NLM_F_REQUEST | NLM_F_DUMP, true);
  view.setUint8(NLMSG_HEADER_BYTES, family);
  view.setUint8(NLMSG_HEADER_BYTES + 1, IPPROTO_TCP);
  view.setUint32(STATES_OFFSET, LISTEN, true);
  view.setUint8(ID_OFFSET, server[2] as number);
  view.setUint8(ID_OFFSET + 1, server[3] as number);
}

/** A netlink socket blocks only until the kernel has written, which it does at once. */
function readAnswer(fd: number, buffer: libc.Region, server: Uint8Array): boolean | undefined {
  for (;;) {
    const length = libc.recv(fd, buffer.address, BUFFER_BYTES, 0);
    if (length < NLMSG_HEADER_BYTES) return undefined;
    for (let at = 0; at + NLMSG_HEADER_BYTES <= length; ) {
      const size = buffer.view.getUint32(at, true);
      const type = buffer.view.getUint16(at + 4, true);
      if (type === NLMSG_DONE) return false;
      if (type === NLMSG_ERROR || size < NLMSG_HEADER_BYTES) return undefined;
      if (type === SOCK_DIAG_BY_FAMILY && isFor(buffer, at, size, server)) return true;
      at += (size + 3) & ~3;
    }
  }
}

/** Whether the listener of that message takes connections to the server's address. */
function isFor({ bytes, view }: libc.Region, at: number, size: number, server: Uint8Array) {
  if (view.getUint8(at + SOURCE_PORT_OFFSET) !== server[2]) return false;
  if (view.getUint8(at + SOURCE_PORT_OFFSET + 1) !== server[3]) return false;
  const isIPv4 = server[0] === AF_INET;
  const ip = isIPv4 ? server.subarray(4, 8) : server.subarray(8, 24);
  const family = view.getUint8(at + NLMSG_HEADER_BYTES);
  const source = bytes.subarray(at + SOURCE_OFFSET, at + SOURCE_OFFSET + 16);
  if (family === AF_INET) return isSame(source.subarray(0, 4), ip) || isZero(source.subarray(0, 4));
  if (!isIPv4) return isSame(source, ip) || isZero(source);
  const takesIPv4 = !takesIPv6Only(view, at, size);
  return takesIPv4 && (isZero(source) || isSame(source, [...IPV4_MAPPED_PREFIX, ...ip]));
}

function takesIPv6Only(view: DataView, at: number, size: number): boolean {
  for (let attribute = NLMSG_HEADER_BYTES + MESSAGE_BYTES; attribute + 4 <= size; ) {
    const length = view.getUint16(at + attribute, true);
    const type = view.getUint16(at + attribute + 2, true);
    if (type === INET_DIAG_SKV6ONLY) return view.getUint8(at + attribute + 4) !== 0;
    if (length < 4) return false;
    attribute += (length + 3) & ~3;
  }
  return false;
}

function isSame(one: ArrayLike<number>, other: ArrayLike<number>): boolean {
  for (let index = 0; index < other.length; index++) if (one[index] !== other[index]) return false;
  return true;
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}
