/** recvmsg and sendmsg of SCTP: messages with their labels, and notifications. */

import * as libc from '../../msg/libc.js';
import * as linux from '../../msg/linux.js';
import * as sctp from '../../msg/sctp.js';

/** What travels with a message besides its bytes. */
export interface Label {
  readonly stream: number;
  /** As it stands in memory: its byte order is the peers' own affair. */
  readonly ppid: number;
  readonly isUnordered: boolean;
}

// struct msghdr, its one struct iovec, its one control message.
const MSG_IOV_OFFSET = 16;
const MSG_IOVLEN_OFFSET = 24;
const MSG_CONTROL_OFFSET = 32;
const MSG_CONTROLLEN_OFFSET = 40;
const MSG_FLAGS_OFFSET = 48;
const IOVEC_OFFSET = 64;
const IOV_LEN_OFFSET = IOVEC_OFFSET + 8;
const CMSG_OFFSET = 128;
const CMSG_LEVEL_OFFSET = CMSG_OFFSET + 8;
const CMSG_TYPE_OFFSET = CMSG_OFFSET + 12;
const CMSG_DATA_OFFSET = CMSG_OFFSET + 16;

/** struct sctp_rcvinfo: stream u16 at 0, flags u16 at 4, ppid u32 at 8. */
const RCVINFO_FLAGS_OFFSET = CMSG_DATA_OFFSET + 4;
const RCVINFO_PPID_OFFSET = CMSG_DATA_OFFSET + 8;
/** struct sctp_sndinfo: stream u16 at 0, flags u16 at 2, ppid u32 at 4, then two more words. */
const SNDINFO_BYTES = 16;
const SNDINFO_FLAGS_OFFSET = CMSG_DATA_OFFSET + 2;
const SNDINFO_PPID_OFFSET = CMSG_DATA_OFFSET + 4;
const CMSG_HEADER_BYTES = CMSG_DATA_OFFSET - CMSG_OFFSET;
/** CMSG_SPACE of the larger one. */
const CONTROL_BYTES = CMSG_HEADER_BYTES + 32;

const WORD = 2 ** 32;

/** The label, and the flags, are those of what `receive` has returned last. */
export class Messages implements Label {
  stream = 0;
  ppid = 0;
  isUnordered = false;
  #flags = 0;
  readonly #memory = libc.allocate(4096);

  constructor() {
    const { address } = this.#memory;
    this.#setPointer(MSG_IOV_OFFSET, address + IOVEC_OFFSET);
    this.#setPointer(MSG_IOVLEN_OFFSET, 1);
    this.#setPointer(MSG_CONTROL_OFFSET, address + CMSG_OFFSET);
  }

  get isNotification(): boolean {
    return (this.#flags & sctp.MSG_NOTIFICATION) !== 0;
  }

  /** The last part of its message. */
  get isLast(): boolean {
    return (this.#flags & linux.MSG_EOR) !== 0;
  }

  /** Bytes of a message, or of a part of it; 0 at the end; or the negative errno. */
  receive(fd: number, address: number, length: number): number {
    this.#setPointer(IOVEC_OFFSET, address);
    this.#setPointer(IOV_LEN_OFFSET, length);
    this.#setPointer(MSG_CONTROLLEN_OFFSET, CONTROL_BYTES);
    const received = libc.recvmsg(fd, this.#memory.address, 0);
    if (received <= 0) return received;
    this.#flags = this.#memory.view.getInt32(MSG_FLAGS_OFFSET, true);
    if (!this.isNotification) this.#readLabel();
    return received;
  }

  /** Sends one message. Returns its bytes, or the negative errno. */
  send(fd: number, address: number, length: number, label: Label): number {
    const { view } = this.#memory;
    this.#setPointer(IOVEC_OFFSET, address);
    this.#setPointer(IOV_LEN_OFFSET, length);
    this.#setPointer(MSG_CONTROLLEN_OFFSET, CMSG_HEADER_BYTES + SNDINFO_BYTES);
    this.#setPointer(CMSG_OFFSET, CMSG_HEADER_BYTES + SNDINFO_BYTES);
    view.setInt32(CMSG_LEVEL_OFFSET, linux.IPPROTO_SCTP, true);
    view.setInt32(CMSG_TYPE_OFFSET, sctp.SCTP_SNDINFO, true);
    // Nothing else is set: what of the other flags a sender had used is for its own association.
    this.#memory.bytes.fill(0, CMSG_DATA_OFFSET, CMSG_DATA_OFFSET + SNDINFO_BYTES);
    view.setUint16(CMSG_DATA_OFFSET, label.stream, true);
    view.setUint16(SNDINFO_FLAGS_OFFSET, label.isUnordered ? sctp.SCTP_UNORDERED : 0, true);
    view.setUint32(SNDINFO_PPID_OFFSET, label.ppid, true);
    return libc.sendmsg(fd, this.#memory.address, linux.MSG_NOSIGNAL);
  }

  /** There is one with every message: sctp.setSctpOptions asks for it. */
  #readLabel(): void {
    const { view } = this.#memory;
    this.stream = view.getUint16(CMSG_DATA_OFFSET, true);
    this.isUnordered = (view.getUint16(RCVINFO_FLAGS_OFFSET, true) & sctp.SCTP_UNORDERED) !== 0;
    this.ppid = view.getUint32(RCVINFO_PPID_OFFSET, true);
  }

  /** A pointer or size_t. Not as a bigint, which would be made anew each time. */
  #setPointer(offset: number, value: number): void {
    this.#memory.view.setUint32(offset, value % WORD, true);
    this.#memory.view.setUint32(offset + 4, Math.floor(value / WORD), true);
  }
}
