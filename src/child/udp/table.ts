/**
 * Finds the session of a datagram by where it came from and where it was sent to. Nothing is
 * allocated for that: the key is read into one array, and the sessions of one hash form a chain.
 *
 * The hash is HalfSipHash-1-3 (Aumasson, Bernstein) under a key of this process, so that no client
 * can choose addresses and ports that all meet in one chain.
 */

import { must } from '../../msg/fd.js';
import * as libc from '../../msg/libc.js';

/** A sockaddr_in6 without its flow label, and a local address. */
export const KEY_WORDS = 11;

export interface Keyed<T> {
  readonly key: Int32Array;
  /** Another one of the same hash. */
  nextOfHash: T | undefined;
}

// By the kernel itself: node:crypto takes a sixth of an agent's start to load.
const seeds = libc.allocate(8);
must(libc.getrandom(seeds.address, 8), 'getrandom');
const SEED0 = seeds.view.getInt32(0, true);
const SEED1 = seeds.view.getInt32(4, true);

export class SessionTable<T extends Keyed<T>> {
  readonly #chains = new Map<number, T>();

  /** `key` has as many words as those of all sessions in here. */
  find(key: Int32Array): T | undefined {
    let session = this.#chains.get(hashOf(key));
    while (session !== undefined && !isSame(session.key, key)) session = session.nextOfHash;
    return session;
  }

  add(session: T): void {
    const hash = hashOf(session.key);
    session.nextOfHash = this.#chains.get(hash);
    this.#chains.set(hash, session);
  }

  delete(session: T): void {
    const hash = hashOf(session.key);
    const first = this.#chains.get(hash);
    if (first === session) {
      if (session.nextOfHash === undefined) this.#chains.delete(hash);
      else this.#chains.set(hash, session.nextOfHash);
      return;
    }
    let before = first;
    while (before !== undefined && before.nextOfHash !== session) before = before.nextOfHash;
    if (before !== undefined) before.nextOfHash = session.nextOfHash;
  }

  values(): T[] {
    const all: T[] = [];
    for (const first of this.#chains.values()) {
      for (let one: T | undefined = first; one !== undefined; one = one.nextOfHash) all.push(one);
    }
    return all;
  }
}

export function isSame(one: Int32Array, other: Int32Array): boolean {
  for (let word = 0; word < one.length; word++) if (one[word] !== other[word]) return false;
  return true;
}

let v0 = 0;
let v1 = 0;
let v2 = 0;
let v3 = 0;

/** 32 bits, by default under this process's key. */
export function hashOf(key: Int32Array, seed0 = SEED0, seed1 = SEED1): number {
  v0 = seed0;
  v1 = seed1;
  v2 = 0x6c796765 ^ seed0;
  v3 = 0x74656462 ^ seed1;
  for (let word = 0; word < key.length; word++) compress(key[word] as number);
  compress((key.length * 4) << 24);
  v2 ^= 0xff;
  for (let round = 0; round < 3; round++) sipRound();
  return v1 ^ v3;
}

function compress(word: number): void {
  v3 ^= word;
  sipRound();
  v0 ^= word;
}

function sipRound(): void {
  v0 = (v0 + v1) | 0;
  v1 = rotate(v1, 5) ^ v0;
  v0 = rotate(v0, 16);
  v2 = (v2 + v3) | 0;
  v3 = rotate(v3, 8) ^ v2;
  v0 = (v0 + v3) | 0;
  v3 = rotate(v3, 7) ^ v0;
  v2 = (v2 + v1) | 0;
  v1 = rotate(v1, 13) ^ v2;
  v2 = rotate(v2, 16);
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
