/**
 * SCTP's sockets API (RFC 6458, uapi linux/sctp.h): constants, layouts, and the options that every
 * one-to-one socket of ours has, be it the parent's listening one or the agent's.
 */

import * as libc from './libc.js';
import * as linux from './linux.js';

const SCTP_INITMSG = 2;
const SCTP_NODELAY = 3;
const SCTP_STATUS = 14;
const SCTP_RECVRCVINFO = 32;
const SCTP_EVENT = 127;

/** Control message, of level IPPROTO_SCTP. */
export const SCTP_SNDINFO = 2;
/** Flag of it and of struct sctp_rcvinfo. */
export const SCTP_UNORDERED = 1;
/** Flag of what recvmsg returns. */
export const MSG_NOTIFICATION = 0x8000;

/** Notifications, and states of an association in the first of them. */
export const SCTP_ASSOC_CHANGE = 0x8001;
export const SCTP_COMM_LOST = 1;
export const SCTP_RESTART = 2;
export const SCTP_SHUTDOWN_COMP = 3;
export const SCTP_PARTIAL_DELIVERY_EVENT = 0x8006;

/** struct sctp_status: streams as u16 at 16 (in) and 18 (out). */
const STATUS_BYTES = 176;
const STATUS_INSTRMS_OFFSET = 16;
const STATUS_OUTSTRMS_OFFSET = 18;

/**
 * Messages up to here are forwarded. A socket takes none that is larger than its send buffer, which
 * the kernel limits to twice net.core.wmem_max: with that at its default, to 416 KiB.
 */
export const LARGEST_MESSAGE_BYTES = 1024 * 1024;

/** How many streams each way, 1 to 65535, as seen from the socket that has them. */
export interface Streams {
  readonly in: number;
  readonly out: number;
}

const scratch = libc.allocate(4096);
const LENGTH_OFFSET = 256;

function setOption(fd: number, level: number, name: number, bytes: number): void {
  libc.setsockopt(fd, level, name, scratch.address, bytes);
}

function setInt(fd: number, level: number, name: number, value: number): void {
  scratch.view.setInt32(0, value, true);
  setOption(fd, level, name, 4);
}

/** Before listen, where accepted sockets inherit it, or connect. `streams` are the most to agree on. */
export function setSctpOptions(fd: number, streams: Streams): void {
  // struct sctp_initmsg: out, in, attempts and timeout, of which the last two stay the kernel's.
  scratch.bytes.fill(0, 0, 8);
  scratch.view.setUint16(0, streams.out, true);
  scratch.view.setUint16(2, streams.in, true);
  setOption(fd, linux.IPPROTO_SCTP, SCTP_INITMSG, 8);
  setInt(fd, linux.IPPROTO_SCTP, SCTP_NODELAY, 1);
  setInt(fd, linux.IPPROTO_SCTP, SCTP_RECVRCVINFO, 1);
  // The kernel doubles it.
  setInt(fd, linux.SOL_SOCKET, linux.SO_SNDBUF, LARGEST_MESSAGE_BYTES / 2);
  for (const type of [SCTP_ASSOC_CHANGE, SCTP_PARTIAL_DELIVERY_EVENT]) {
    // struct sctp_event: association, type, on.
    scratch.bytes.fill(0, 0, 8);
    scratch.view.setUint16(4, type, true);
    scratch.view.setUint8(6, 1);
    setOption(fd, linux.IPPROTO_SCTP, SCTP_EVENT, 8);
  }
}

/** What both ends have agreed on; undefined when the association has ended. */
export function streamsOf(fd: number): Streams | undefined {
  scratch.bytes.fill(0, 0, STATUS_BYTES);
  scratch.view.setUint32(LENGTH_OFFSET, STATUS_BYTES, true);
  const { address, view } = scratch;
  const length = address + LENGTH_OFFSET;
  if (libc.getsockopt(fd, linux.IPPROTO_SCTP, SCTP_STATUS, address, length) < 0) return undefined;
  return {
    in: view.getUint16(STATUS_INSTRMS_OFFSET, true),
    out: view.getUint16(STATUS_OUTSTRMS_OFFSET, true),
  };
}
