/** What identifies a session, read out of a received message, and what is written to answer it. */

import { SOCKADDR_IN6_BYTES, SOCKADDR_IN_BYTES } from '../../msg/sockaddr.js';
import type { Inbox } from './inbox.js';
import { cmsgWords, type Family, IPV4, WORD_BYTES, writeCmsg } from './layout.js';
import { KEY_WORDS } from './table.js';

/** Family and port, address; local address. */
const IPV4_KEY_WORDS = 3;

/** fe80::/10 as the first word of an address on a little-endian machine. */
const LINK_LOCAL_MASK = 0xc0ff;
const LINK_LOCAL = 0x80fe;
/** ff00::/8 */
const MULTICAST_MASK = 0xff;
const MULTICAST = 0xff;

export function newKey(family: Family): Int32Array {
  return new Int32Array(family === IPV4 ? IPV4_KEY_WORDS : KEY_WORDS);
}

/** Reads the key of the message in `slot`. */
export function readKey(key: Int32Array, inbox: Inbox, slot: number): void {
  const { words } = inbox;
  const name = inbox.nameWord(slot);
  const info = inbox.pktinfoWords[slot] as number;
  key[0] = words[name] as number;
  if (key.length === IPV4_KEY_WORDS) {
    key[1] = words[name + 1] as number;
    key[2] = info < 0 ? 0 : (words[info + 1] as number);
    return;
  }
  for (let word = 0; word < 5; word++) key[1 + word] = words[name + 2 + word] as number;
  const first = info < 0 ? 0 : (words[info] as number);
  // A multicast address can't be answered from.
  const hasLocal = info >= 0 && (first & MULTICAST_MASK) !== MULTICAST;
  for (let word = 0; word < 4; word++)
    key[6 + word] = hasLocal ? (words[info + word] as number) : 0;
  const isLinkLocal = (first & LINK_LOCAL_MASK) === LINK_LOCAL;
  key[10] = isLinkLocal ? (words[info + 4] as number) : 0;
}

/** The client, as a sockaddr. */
export function clientOf(key: Int32Array): Uint8Array {
  if (key.length === IPV4_KEY_WORDS) {
    const words = new Int32Array(SOCKADDR_IN_BYTES / WORD_BYTES);
    words.set(key.subarray(0, 2));
    return new Uint8Array(words.buffer);
  }
  const words = new Int32Array(SOCKADDR_IN6_BYTES / WORD_BYTES);
  words[0] = key[0] as number;
  words.set(key.subarray(1, 6), 2);
  return new Uint8Array(words.buffer);
}

/** The network that a client is counted by: an IPv4 address, or the /64 that one IPv6 host has. */
export function sourceOf(key: Int32Array): string {
  return key.length === IPV4_KEY_WORDS ? `${key[1]}` : `${key[1]} ${key[2]}`;
}

/**
 * The control message that makes an answer leave from the address that the client has sent to. The
 * interface is left to the kernel, except for link-local addresses, which are nothing without one.
 */
export function pktinfoOf(family: Family, key: Int32Array): Int32Array {
  const words = new Int32Array(cmsgWords(family.pktinfoBytes));
  const data = writeCmsg(words, 0, family.level, family.pktinfo, family.pktinfoBytes);
  if (family === IPV4) words[data + 1] = key[2] as number;
  else words.set(key.subarray(6, 11), data);
  return words;
}
