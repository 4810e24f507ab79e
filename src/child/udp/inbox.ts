/**
 * The one buffer that all datagrams are received into, a batch at a time. They are sent on from
 * where they lie before the next batch comes: no payload is copied or looked at.
 *
 * With UDP_GRO a slot may hold many datagrams of one sender, `segments[slot]` bytes each and the
 * last one perhaps shorter.
 */

import * as libc from '../../msg/libc.js';
import * as linux from '../../msg/linux.js';
import {
  CMSG_DATA_WORD,
  CMSG_LEVEL_WORD,
  CMSG_TYPE_WORD,
  CONTROL_BYTES,
  CONTROL_LENGTH_WORD,
  CONTROL_WORD,
  HEADER_BYTES,
  HEADER_WORDS,
  IOV_COUNT_WORD,
  IOV_WORD,
  IOVEC_BYTES,
  IOVEC_LENGTH_WORD,
  IPV4,
  IPV6,
  LENGTH_WORD,
  NAME_BYTES,
  NAME_LENGTH_WORD,
  NAME_WORD,
  WORD_BYTES,
  writePointer,
} from './layout.js';

/** Messages received by one call: more gain little, and make others wait longer. */
export const SLOTS = 64;
/** What is merged may be as long as an IP packet; the rest of a longer one would be lost. */
const PAYLOAD_BYTES = 64 * 1024;
/** No power of two: the first bytes of all slots would compete for the same lines of the cache. */
const PAYLOAD_STRIDE = PAYLOAD_BYTES + 24 * 64;

const HEADERS = 0;
const IOVECS = HEADERS + SLOTS * HEADER_BYTES;
const NAMES = IOVECS + SLOTS * IOVEC_BYTES;
const CONTROLS = NAMES + SLOTS * NAME_BYTES;
const META_BYTES = CONTROLS + SLOTS * CONTROL_BYTES;

export class Inbox {
  /** Bytes in each slot. */
  readonly lengths = new Int32Array(SLOTS);
  /** Bytes of each datagram of a slot but the last; the slot's length where it holds one. */
  readonly segments = new Int32Array(SLOTS);
  readonly tos = new Uint8Array(SLOTS);
  /** Where in `words` the struct in_pktinfo or in6_pktinfo of a slot is; -1 without one. */
  readonly pktinfoWords = new Int32Array(SLOTS);
  /** Free for whoever sorts the slots: the next one of the same flow, -1 at the end. */
  readonly next = new Int32Array(SLOTS);
  readonly words: Int32Array;
  readonly #meta = libc.allocate(META_BYTES);
  readonly #payload = libc.allocate(SLOTS * PAYLOAD_STRIDE);

  constructor() {
    this.words = new Int32Array(this.#meta.view.buffer);
    for (let slot = 0; slot < SLOTS; slot++) this.#layOut(slot);
  }

  /** Returns the number of slots filled, or the negative errno. */
  receive(fd: number): number {
    const count = libc.recvmmsg(fd, this.#meta.address + HEADERS, SLOTS, 0);
    for (let slot = 0; slot < count; slot++) this.#read(slot);
    return count;
  }

  /** Datagrams in `slot`. */
  countOf(slot: number): number {
    const segment = this.segments[slot] as number;
    return segment === 0 ? 1 : Math.ceil((this.lengths[slot] as number) / segment);
  }

  /** Fills `slot` with what was received earlier. */
  put(slot: number, bytes: Uint8Array, segment: number, tos: number): void {
    this.#payload.bytes.set(bytes, slot * PAYLOAD_STRIDE);
    this.lengths[slot] = bytes.length;
    this.segments[slot] = segment;
    this.tos[slot] = tos;
  }

  /** A copy of what is in `slot`. */
  copy(slot: number): Buffer {
    const start = slot * PAYLOAD_STRIDE;
    return Buffer.from(this.#payload.bytes.subarray(start, start + (this.lengths[slot] as number)));
  }

  payloadAddress(slot: number): number {
    return this.#payload.address + slot * PAYLOAD_STRIDE;
  }

  /** Where in `words` the sender's sockaddr is. */
  nameWord(slot: number): number {
    return (NAMES + slot * NAME_BYTES) / WORD_BYTES;
  }

  #layOut(slot: number): void {
    const { address } = this.#meta;
    const header = HEADERS / WORD_BYTES + slot * HEADER_WORDS;
    const iovec = IOVECS + slot * IOVEC_BYTES;
    writePointer(this.words, header + NAME_WORD, address + NAMES + slot * NAME_BYTES);
    writePointer(this.words, header + IOV_WORD, address + iovec);
    this.words[header + IOV_COUNT_WORD] = 1;
    writePointer(this.words, header + CONTROL_WORD, address + CONTROLS + slot * CONTROL_BYTES);
    writePointer(this.words, iovec / WORD_BYTES, this.payloadAddress(slot));
    this.words[iovec / WORD_BYTES + IOVEC_LENGTH_WORD] = PAYLOAD_BYTES;
    this.#renew(header);
  }

  /** The kernel has written over these. */
  #renew(header: number): void {
    this.words[header + NAME_LENGTH_WORD] = NAME_BYTES;
    this.words[header + CONTROL_LENGTH_WORD] = CONTROL_BYTES;
  }

  #read(slot: number): void {
    const { words } = this;
    const header = HEADERS / WORD_BYTES + slot * HEADER_WORDS;
    const length = words[header + LENGTH_WORD] as number;
    this.lengths[slot] = length;
    this.segments[slot] = length;
    this.tos[slot] = 0;
    this.pktinfoWords[slot] = -1;
    let word = (CONTROLS + slot * CONTROL_BYTES) / WORD_BYTES;
    const end = word + (words[header + CONTROL_LENGTH_WORD] as number) / WORD_BYTES;
    while (word + CMSG_DATA_WORD < end) {
      const bytes = words[word] as number;
      this.#readCmsg(slot, word);
      word += 2 * Math.ceil(bytes / 8);
    }
    this.#renew(header);
  }

  #readCmsg(slot: number, word: number): void {
    const level = this.words[word + CMSG_LEVEL_WORD];
    const type = this.words[word + CMSG_TYPE_WORD];
    const data = word + CMSG_DATA_WORD;
    if (level === linux.IPPROTO_UDP) {
      if (type === linux.UDP_GRO) this.segments[slot] = this.words[data] as number;
    } else if (type === (level === IPV4.level ? IPV4.pktinfo : IPV6.pktinfo)) {
      this.pktinfoWords[slot] = data;
    } else if (type === (level === IPV4.level ? IPV4.tos : IPV6.tos)) {
      // One byte of IPv4, an int of IPv6; the kernel pads neither with anything in particular.
      this.tos[slot] = this.words[data] as number;
    }
  }
}
