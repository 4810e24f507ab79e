/**
 * Sends what lies in the inbox: the datagrams of one flow that came in one batch, in their order.
 *
 * Datagrams of one size (the last one may be shorter) and of one TOS leave as one message that the
 * kernel, or the device, cuts up again (UDP_SEGMENT): one way through the network stack for up to
 * 64 datagrams. Where a path takes no such message (the segments don't fit its MTU, it can't
 * calculate checksums) its datagrams are sent one by one, and later ones of that size as well.
 *
 * Nothing waits: what a socket doesn't take is dropped and counted.
 */

import * as libc from '../../msg/libc.js';
import * as linux from '../../msg/linux.js';
import type { Drops } from './drops.js';
import { type Inbox, SLOTS } from './inbox.js';
import {
  CONTROL_LENGTH_WORD,
  CONTROL_WORD,
  CONTROL_WORDS,
  cmsgWords,
  HEADER_BYTES,
  HEADER_WORDS,
  IOV_COUNT_WORD,
  IOV_WORD,
  IOVEC_BYTES,
  IOVEC_LENGTH_WORD,
  IOVEC_WORDS,
  NAME_BYTES,
  NAME_LENGTH_WORD,
  NAME_WORD,
  SEGMENT_BYTES,
  WORD_BYTES,
  writeCmsg,
  writePointer,
} from './layout.js';
import type { Path } from './path.js';

/** UDP_MAX_SEGMENTS of Linux before 6.9; later ones take twice as many. */
const MAX_SEGMENTS = 64;
/** An IPv6 header and a UDP header fit into the 65535 bytes beside it. */
const MAX_MESSAGE_BYTES = 65487;
const INT_BYTES = 4;

/** One more message than a batch has slots: `#sendSingly` sends by it. */
const MESSAGES = SLOTS + 1;
const SINGLE = SLOTS;

const HEADERS = 0;
const IOVECS = HEADERS + MESSAGES * HEADER_BYTES;
const CONTROLS = IOVECS + MESSAGES * IOVEC_BYTES;
const NAME = CONTROLS + MESSAGES * CONTROL_WORDS * WORD_BYTES;
const META_BYTES = NAME + NAME_BYTES;

export class Outbox {
  readonly #inbox: Inbox;
  readonly #drops: Drops;
  readonly #meta = libc.allocate(META_BYTES);
  readonly #words = new Int32Array(this.#meta.view.buffer);
  /** Of each message: bytes, bytes of a datagram, number of datagrams, TOS. */
  readonly #lengths = new Int32Array(MESSAGES);
  readonly #sizes = new Int32Array(MESSAGES);
  readonly #counts = new Int32Array(MESSAGES);
  readonly #tos = new Uint8Array(MESSAGES);
  #messages = 0;
  #iovecs = 0;
  #refused = 0;

  constructor(inbox: Inbox, drops: Drops) {
    this.#inbox = inbox;
    this.#drops = drops;
    const { address } = this.#meta;
    for (let message = 0; message < MESSAGES; message++) {
      const header = message * HEADER_WORDS;
      const control = address + CONTROLS + message * CONTROL_WORDS * WORD_BYTES;
      writePointer(this.#words, header + NAME_WORD, address + NAME);
      writePointer(this.#words, header + CONTROL_WORD, control);
    }
  }

  /**
   * Sends `slot` of the inbox and those that follow it by `next`. Returns how often the socket said
   * that an earlier datagram was refused.
   */
  send(fd: number, path: Path, slot: number): number {
    this.#meta.bytes.set(path.name, NAME);
    this.#refused = 0;
    const { lengths, segments, tos, next } = this.#inbox;
    for (let at = slot; at >= 0; at = next[at] as number) {
      const length = lengths[at] as number;
      const segment = segments[at] as number;
      const address = this.#inbox.payloadAddress(at);
      if (segment < length && segment > path.largestSegment) {
        for (let offset = 0; offset < length; offset += segment) {
          const size = Math.min(segment, length - offset);
          this.#append(fd, path, address + offset, size, size, tos[at] as number);
        }
      } else {
        this.#append(fd, path, address, length, segment, tos[at] as number);
      }
    }
    this.#flush(fd, path);
    return this.#refused;
  }

  /** To the last message where that is possible, else as a new one. */
  #append(
    fd: number,
    path: Path,
    address: number,
    length: number,
    segment: number,
    tos: number,
  ): void {
    if (this.#iovecs === SLOTS) this.#flush(fd, path);
    const count = segment === 0 ? 1 : Math.ceil(length / segment);
    const last = this.#messages - 1;
    const iovec = IOVECS / WORD_BYTES + this.#iovecs * IOVEC_WORDS;
    writePointer(this.#words, iovec, address);
    this.#words[iovec + IOVEC_LENGTH_WORD] = length;
    this.#iovecs++;
    if (last >= 0 && this.#fits(last, path, length, segment, count, tos)) {
      this.#lengths[last] = (this.#lengths[last] as number) + length;
      this.#counts[last] = (this.#counts[last] as number) + count;
      this.#words[last * HEADER_WORDS + IOV_COUNT_WORD] =
        (this.#words[last * HEADER_WORDS + IOV_COUNT_WORD] as number) + 1;
      return;
    }
    const message = this.#messages++;
    this.#lengths[message] = length;
    this.#sizes[message] = segment;
    this.#counts[message] = count;
    this.#tos[message] = tos;
    const header = message * HEADER_WORDS;
    writePointer(this.#words, header + IOV_WORD, this.#meta.address + iovec * WORD_BYTES);
    this.#words[header + IOV_COUNT_WORD] = 1;
  }

  #fits(
    message: number,
    path: Path,
    length: number,
    segment: number,
    count: number,
    tos: number,
  ): boolean {
    const size = this.#sizes[message] as number;
    const total = this.#lengths[message] as number;
    const isShorter = segment === length && length < size && length > 0;
    return (
      (segment === size || isShorter) &&
      size > 0 &&
      size <= path.largestSegment &&
      total % size === 0 &&
      this.#tos[message] === tos &&
      (this.#counts[message] as number) + count <= MAX_SEGMENTS &&
      total + length <= MAX_MESSAGE_BYTES
    );
  }

  #flush(fd: number, path: Path): void {
    const messages = this.#messages;
    for (let message = 0; message < messages; message++) {
      this.#finish(message, path, this.#tos[message] as number, this.#counts[message] as number);
    }
    let isRetry = false;
    for (let at = 0; at < messages; ) {
      const header = this.#meta.address + HEADERS + at * HEADER_BYTES;
      const sent = libc.sendmmsg(fd, header, messages - at, linux.MSG_NOSIGNAL);
      if (sent > 0) {
        for (const end = at + sent; at < end; at++) {
          delivered(path, this.#lengths[at] as number, this.#counts[at] as number);
        }
        isRetry = false;
      } else if (sent === linux.ECONNREFUSED && !isRetry) {
        // An earlier datagram's: this one was not sent.
        this.#refused++;
        isRetry = true;
      } else if (isFull(sent)) {
        for (; at < messages; at++) this.#drop(path, path.busy, this.#counts[at]);
      } else {
        const isSegmented = (this.#counts[at] as number) > 1;
        if (isSegmented && refusesSegments(sent)) this.#sendSingly(fd, path, at, sent);
        else this.#drop(path, refusalOf(sent), this.#counts[at]);
        at++;
      }
    }
    this.#messages = 0;
    this.#iovecs = 0;
  }

  /** Name and control messages; those that are not needed are left out. */
  #finish(message: number, path: Path, tos: number, count: number): void {
    const words = this.#words;
    const header = message * HEADER_WORDS;
    const control = CONTROLS / WORD_BYTES + message * CONTROL_WORDS;
    let end = control + path.pktinfo.length;
    words.set(path.pktinfo, control);
    if (tos !== 0) {
      words[writeCmsg(words, end, path.family.level, path.family.tos, INT_BYTES)] = tos;
      end += cmsgWords(INT_BYTES);
    }
    if (count > 1) {
      const data = writeCmsg(words, end, linux.IPPROTO_UDP, linux.UDP_SEGMENT, SEGMENT_BYTES);
      words[data] = this.#sizes[message] as number;
      end += cmsgWords(SEGMENT_BYTES);
    }
    words[header + NAME_LENGTH_WORD] = path.name.length;
    words[header + CONTROL_LENGTH_WORD] = (end - control) * WORD_BYTES;
  }

  /** The datagrams of a message that was refused as a whole. */
  #sendSingly(fd: number, path: Path, message: number, error: number): void {
    const size = this.#sizes[message] as number;
    // EIO is for want of checksums, whatever the size.
    path.largestSegment = error === linux.EIO ? 0 : size - 1;
    const words = this.#words;
    const header = message * HEADER_WORDS;
    const first = pointerAt(words, header + IOV_WORD) - this.#meta.address;
    const count = words[header + IOV_COUNT_WORD] as number;
    this.#finish(SINGLE, path, this.#tos[message] as number, 1);
    for (let index = 0; index < count; index++) {
      const iovec = first / WORD_BYTES + index * IOVEC_WORDS;
      const address = pointerAt(words, iovec);
      const length = words[iovec + IOVEC_LENGTH_WORD] as number;
      for (let offset = 0; offset < length; offset += size) {
        this.#sendOne(fd, path, address + offset, Math.min(size, length - offset));
      }
    }
  }

  #sendOne(fd: number, path: Path, address: number, length: number): void {
    const words = this.#words;
    const iovec = IOVECS / WORD_BYTES + SINGLE * IOVEC_WORDS;
    writePointer(words, iovec, address);
    words[iovec + IOVEC_LENGTH_WORD] = length;
    const header = SINGLE * HEADER_WORDS;
    writePointer(words, header + IOV_WORD, this.#meta.address + iovec * WORD_BYTES);
    words[header + IOV_COUNT_WORD] = 1;
    const message = this.#meta.address + SINGLE * HEADER_BYTES;
    let sent = libc.sendmsg(fd, message, linux.MSG_NOSIGNAL);
    if (sent === linux.ECONNREFUSED) {
      this.#refused++;
      sent = libc.sendmsg(fd, message, linux.MSG_NOSIGNAL);
    }
    if (sent >= 0) return delivered(path, length, 1);
    this.#drop(path, isFull(sent) ? path.busy : refusalOf(sent));
  }

  #drop(path: Path, reason: keyof Drops, datagrams = 1): void {
    this.#drops[reason] += datagrams;
    path.counters.drop(reason, datagrams);
  }
}

function delivered(path: Path, bytes: number, packets: number): void {
  path.bytes += bytes;
  path.packets += packets;
  path.tally.bytes += bytes;
  path.tally.packets += packets;
}

function refusalOf(error: number): 'oversized' | 'unreachable' {
  return error === linux.EMSGSIZE ? 'oversized' : 'unreachable';
}

function isFull(error: number): boolean {
  return error === linux.EAGAIN || error === linux.ENOBUFS || error === linux.ENOMEM;
}

/** EMSGSIZE and EINVAL: a segment is longer than the path's MTU; EIO: no checksum offload. */
function refusesSegments(error: number): boolean {
  return error === linux.EMSGSIZE || error === linux.EINVAL || error === linux.EIO;
}

function pointerAt(words: Int32Array, word: number): number {
  return (words[word + 1] as number) * 2 ** 32 + ((words[word] as number) >>> 0);
}
