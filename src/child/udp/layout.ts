/**
 * How the kernel lays out a batch of messages on 64-bit Linux, in words of 32 bits: struct mmsghdr,
 * struct iovec and control messages. The data path reads and writes them as one Int32Array.
 *
 * Sources: recvmmsg(2), cmsg(3), udp(7), ip(7), ipv6(7) and the uapi headers.
 */

import * as linux from '../../msg/linux.js';

export const WORD_BYTES = 4;

/** struct mmsghdr: a struct msghdr, then the length of the message. */
export const HEADER_WORDS = 16;
export const HEADER_BYTES = HEADER_WORDS * WORD_BYTES;
export const NAME_WORD = 0;
export const NAME_LENGTH_WORD = 2;
export const IOV_WORD = 4;
export const IOV_COUNT_WORD = 6;
export const CONTROL_WORD = 8;
export const CONTROL_LENGTH_WORD = 10;
export const LENGTH_WORD = 14;

/** struct iovec: base, then length. */
export const IOVEC_WORDS = 4;
export const IOVEC_BYTES = IOVEC_WORDS * WORD_BYTES;
export const IOVEC_LENGTH_WORD = 2;

/** Holds a sockaddr_in6, rounded up. */
export const NAME_BYTES = 32;

/** struct cmsghdr: length (of itself and the data), level, type. */
export const CMSG_HEADER_BYTES = 16;
export const CMSG_LEVEL_WORD = 2;
export const CMSG_TYPE_WORD = 3;
export const CMSG_DATA_WORD = 4;

/** CMSG_SPACE in words: where the next control message begins. */
export function cmsgWords(dataBytes: number): number {
  return (CMSG_HEADER_BYTES + 8 * Math.ceil(dataBytes / 8)) / WORD_BYTES;
}

/** struct in_pktinfo: interface, the local address to answer from, the destination. */
export const IN_PKTINFO_BYTES = 12;
/** struct in6_pktinfo: the destination, interface. */
export const IN6_PKTINFO_BYTES = 20;
const INT_BYTES = 4;
/** udp(7) has it as an int where it is received, the kernel wants exactly 16 bits from a sender. */
export const SEGMENT_BYTES = 2;

/** The most that a datagram comes with: where it came in, its TOS, the size of merged segments. */
export const CONTROL_WORDS =
  cmsgWords(IN6_PKTINFO_BYTES) + cmsgWords(INT_BYTES) + cmsgWords(INT_BYTES);
export const CONTROL_BYTES = CONTROL_WORDS * WORD_BYTES;

/** The control messages of a family. */
export interface Family {
  readonly level: number;
  readonly pktinfo: number;
  readonly pktinfoBytes: number;
  /** The type that the TOS or traffic class has both when received and when sent. */
  readonly tos: number;
}

export const IPV4: Family = {
  level: linux.IPPROTO_IP,
  pktinfo: linux.IP_PKTINFO,
  pktinfoBytes: IN_PKTINFO_BYTES,
  tos: linux.IP_TOS,
};

export const IPV6: Family = {
  level: linux.IPPROTO_IPV6,
  pktinfo: linux.IPV6_PKTINFO,
  pktinfoBytes: IN6_PKTINFO_BYTES,
  tos: linux.IPV6_TCLASS,
};

/** Writes a pointer, which is below 2^53 in any process. */
export function writePointer(words: Int32Array, word: number, address: number): void {
  words[word] = (address % 2 ** 32) | 0;
  words[word + 1] = Math.floor(address / 2 ** 32);
}

/** Writes the header of a control message; returns the word of its data. */
export function writeCmsg(
  words: Int32Array,
  word: number,
  level: number,
  type: number,
  dataBytes: number,
): number {
  words[word] = CMSG_HEADER_BYTES + dataBytes;
  words[word + 1] = 0;
  words[word + CMSG_LEVEL_WORD] = level;
  words[word + CMSG_TYPE_WORD] = type;
  return word + CMSG_DATA_WORD;
}
