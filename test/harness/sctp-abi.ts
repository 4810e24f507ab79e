/**
 * SCTP's sockets API as the tests see it: RFC 6458 and the kernel's uapi header linux/sctp.h.
 * Written down a second time on purpose, so that a wrong offset in src shows.
 */

export const IPPROTO_SCTP = 132;

export const SCTP_INITMSG = 2;
export const SCTP_NODELAY = 3;
export const SCTP_STATUS = 14;
export const SCTP_PARTIAL_DELIVERY_POINT = 19;
export const SCTP_RECVRCVINFO = 32;
export const SCTP_EVENT = 127;

export const SCTP_UNORDERED = 1;
export const MSG_EOR = 0x80;
export const MSG_NOTIFICATION = 0x8000;

export const SCTP_ASSOC_CHANGE = 0x8001;
export const SCTP_SHUTDOWN_EVENT = 0x8005;
export const SCTP_PARTIAL_DELIVERY_EVENT = 0x8006;

/** States of an association in SCTP_ASSOC_CHANGE. */
export const SCTP_COMM_UP = 0;
export const SCTP_COMM_LOST = 1;
export const SCTP_SHUTDOWN_COMP = 3;
export const SCTP_CANT_STR_ASSOC = 4;

const CMSG_HEADER_BYTES = 16;
const CMSG_SNDINFO = 2;
const CMSG_RCVINFO = 3;
const SNDINFO_BYTES = 16;
export const STATUS_BYTES = 176;

/** What travels with a message besides its bytes. */
export interface Label {
  /** The stream's number, 0 to 65535. */
  readonly stream: number;
  /** 32 bits that the kernel takes and gives as they stand in memory. */
  readonly ppid: number;
  readonly unordered: boolean;
}

/** Numbers of streams, 1 to 65535. */
export interface Streams {
  readonly in: number;
  readonly out: number;
}

/** A control message with a struct sctp_sndinfo. */
export function encodeSndInfo({ stream, ppid, unordered }: Label): Buffer {
  const bytes = Buffer.alloc(CMSG_HEADER_BYTES + SNDINFO_BYTES);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeInt32LE(IPPROTO_SCTP, 8);
  bytes.writeInt32LE(CMSG_SNDINFO, 12);
  bytes.writeUInt16LE(stream, 16);
  bytes.writeUInt16LE(unordered ? SCTP_UNORDERED : 0, 18);
  bytes.writeUInt32LE(ppid, 20);
  return bytes;
}

/** Reads the struct sctp_rcvinfo of the first control message, if it is one. */
export function decodeRcvInfo(control: Buffer): Label | undefined {
  if (control.length < CMSG_HEADER_BYTES || control.readInt32LE(12) !== CMSG_RCVINFO) {
    return undefined;
  }
  return {
    stream: control.readUInt16LE(16),
    unordered: (control.readUInt16LE(20) & SCTP_UNORDERED) !== 0,
    ppid: control.readUInt32LE(24),
  };
}

/** struct sctp_initmsg; what is 0 is the kernel's choice. */
export function encodeInitMsg(streams: Streams): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(streams.out, 0);
  bytes.writeUInt16LE(streams.in, 2);
  return bytes;
}

/** struct sctp_event, for all associations. */
export function encodeEvent(type: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt8(1, 6);
  return bytes;
}

/** The streams of a struct sctp_status. */
export function decodeStreams(status: Buffer): Streams {
  return { in: status.readUInt16LE(16), out: status.readUInt16LE(18) };
}

export interface Notification {
  readonly type: number;
  /** Of SCTP_ASSOC_CHANGE. */
  readonly state?: number;
}

export function decodeNotification(bytes: Buffer): Notification {
  const type = bytes.readUInt16LE(0);
  return type === SCTP_ASSOC_CHANGE ? { type, state: bytes.readUInt16LE(8) } : { type };
}
