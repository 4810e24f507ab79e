/** Copies of a session's first datagrams, while its port's target is being asked for. */

import type { UdpForwarder } from './forwarder.js';
import { SLOTS } from './inbox.js';
import type { UdpPort } from './port.js';

/** No more than goes back into the inbox in one go. */
const MOST_HELD = SLOTS / 2;
/** Of all sessions together. */
const MOST_HELD_BYTES = 4 * 1024 * 1024;

interface Copy {
  readonly bytes: Buffer;
  readonly segment: number;
  readonly tos: number;
}

export class Held {
  readonly #forwarder: UdpForwarder;
  readonly #port: UdpPort;
  readonly #copies: Copy[] = [];

  constructor(forwarder: UdpForwarder, port: UdpPort) {
    this.#forwarder = forwarder;
    this.#port = port;
  }

  /** Copies `first` of the inbox and those that follow it by `next`, or drops what is too much. */
  take(first: number): void {
    const { inbox } = this.#forwarder;
    for (let slot = first; slot >= 0; slot = inbox.next[slot] as number) {
      const length = inbox.lengths[slot] as number;
      const isTooMuch =
        this.#copies.length === MOST_HELD || this.#forwarder.heldBytes + length > MOST_HELD_BYTES;
      if (isTooMuch) {
        this.#forwarder.dropSlot(this.#port, 'held', slot);
        continue;
      }
      this.#forwarder.heldBytes += length;
      const [segment, tos] = [inbox.segments[slot] as number, inbox.tos[slot] as number];
      this.#copies.push({ bytes: inbox.copy(slot), segment, tos });
    }
  }

  /** Puts everything back into the inbox, which must hold no batch. Returns the first slot, -1 when nothing was held. */
  release(): number {
    const { inbox } = this.#forwarder;
    const copies = this.#copies.splice(0);
    for (const [slot, { bytes, segment, tos }] of copies.entries()) {
      this.#forwarder.heldBytes -= bytes.length;
      inbox.put(slot, bytes, segment, tos);
      inbox.next[slot] = slot + 1 < copies.length ? slot + 1 : -1;
    }
    return copies.length > 0 ? 0 : -1;
  }

  /** The session has ended. */
  drop(): void {
    for (const { bytes, segment } of this.#copies.splice(0)) {
      this.#forwarder.heldBytes -= bytes.length;
      const datagrams = segment === 0 ? 1 : Math.ceil(bytes.length / segment);
      this.#forwarder.drop(this.#port, 'held', datagrams);
    }
  }
}
