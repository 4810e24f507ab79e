/**
 * One direction of an SCTP association: moves whole messages, with their labels, in their order.
 *
 * States and what each may hold:
 *
 *   empty      nothing
 *   beginning  a slab with the parts of a message that have come so far (partial delivery)
 *   whole      a slab with a message that the sink had no room for
 *
 * A message that comes in one part and finds room never leaves the buffer that all pumps share.
 *
 * What must never happen:
 * - Reading while a whole message is held: streams would be reordered. Not reading closes the
 *   source's window, and its sender waits.
 * - Sending a beginning as if it were a message, whatever ended it: it is dropped and counted.
 * - Losing a message without a trace. What can't go on as it is (`AbortReason`) ends the association by
 *   an ABORT of both sides.
 *
 * SCTP has no half-open state: a side that has asked for the end takes no more messages. What the
 * other one had said until it heard of that is dropped and counted as `late`. The side that asked
 * first learns of the completion by a notification only: its recvmsg never returns 0.
 */

import type { AbortReason } from '../../msg/aborts.js';
import type { Region } from '../../msg/libc.js';
import * as linux from '../../msg/linux.js';
import * as sctp from '../../msg/sctp.js';
import type { Tally } from '../counters.js';
import type { PublishedPort } from '../forwarder.js';
import type { Pump, PumpResult } from '../pump.js';
import type { SlabPool } from '../slabs.js';
import { resetOnClose } from '../sockets.js';
import type { Label, Messages } from './messages.js';

/** What one direction may move in a turn before others get theirs. */
const TURN_MESSAGES = 64;
const TURN_BYTES = 512 * 1024;

/** Behind the largest message there is room to see that one is larger, and for a notification. */
export const SLAB_BYTES = sctp.LARGEST_MESSAGE_BYTES + 4096;
/** All that the pumps of an agent may hold. */
const MOST_HELD_BYTES = 256 * 1024 * 1024;

/** Why a message was dropped: its sender never finished it (`incomplete`), or it came `late`. */
export type Drop = AbortReason | 'incomplete' | 'late';

export interface Shared {
  readonly slabs: SlabPool;
  readonly messages: Messages;
  /** Of all pumps, in their slabs. */
  heldBytes: number;
  dropped(port: PublishedPort, reason: Drop): void;
}

export class SctpPump implements Pump {
  readable = true;
  writable = true;
  untilDry = false;
  hungUp = false;
  /** Bytes handed to the sink. */
  moved = 0;
  packets = 0;

  readonly #shared: Shared;
  readonly #port: PublishedPort;
  readonly #tally: Tally;
  #slab: Region | undefined;
  /** In the slab. */
  #bytes = 0;
  /** False for a beginning. */
  #isWhole = false;
  #label: Label | undefined;

  constructor(shared: Shared, port: PublishedPort, tally: Tally) {
    this.#shared = shared;
    this.#port = port;
    this.#tally = tally;
  }

  run(source: number, sink: number): PumpResult {
    let bytes = 0;
    for (let count = 0; count < TURN_MESSAGES && bytes < TURN_BYTES; count++) {
      let result = this.#drain(sink);
      if (result === undefined && !(this.readable && this.writable)) return 'waiting';
      if (result === undefined) {
        const received = this.#receive(source);
        if (received > 0) result = this.#received(received, sink);
        else result = this.#sourceSaid(received);
        bytes += Math.max(received, 0);
      }
      // The flow resets the other side.
      if (result === 'sourceFailed') resetOnClose(source);
      if (result !== undefined) return result;
    }
    return 'again';
  }

  flush(sink: number): PumpResult {
    return this.#drain(sink) ?? 'ended';
  }

  release(): void {
    if (this.#bytes > 0 && !this.#isWhole) this.#shared.dropped(this.#port, 'incomplete');
    this.#clear();
  }

  #receive(source: number): number {
    const { messages, slabs } = this.#shared;
    const { address } = this.#slab ?? slabs.shared;
    return messages.receive(source, address + this.#bytes, SLAB_BYTES - this.#bytes);
  }

  #sourceSaid(result: number): PumpResult {
    if (result === 0) return 'ended';
    if (result !== linux.EAGAIN) return 'sourceFailed';
    this.readable = false;
    return 'waiting';
  }

  #received(bytes: number, sink: number): PumpResult | undefined {
    const { messages, slabs } = this.#shared;
    if (messages.isNotification) return this.#notified();
    if (this.#bytes + bytes > sctp.LARGEST_MESSAGE_BYTES) return this.#refuse('oversized');
    if (this.#slab === undefined && messages.isLast) {
      const result = this.#send(sink, slabs.shared.address, bytes, messages);
      return result === 'waiting' ? this.#keep(bytes) : result;
    }
    return this.#keep(bytes);
  }

  /** Adds what was received to the slab. */
  #keep(bytes: number): PumpResult | undefined {
    const { messages, slabs } = this.#shared;
    if (this.#shared.heldBytes + bytes > MOST_HELD_BYTES) return this.#refuse('memory');
    if (this.#slab === undefined) {
      this.#slab = slabs.take();
      if (this.#slab === undefined) return this.#refuse('memory');
      slabs.shared.bytes.copy(this.#slab.bytes, 0, 0, bytes);
      const { stream, ppid, isUnordered } = messages;
      this.#label = { stream, ppid, isUnordered };
    }
    this.#bytes += bytes;
    this.#shared.heldBytes += bytes;
    this.#isWhole = messages.isLast;
    return undefined;
  }

  /** uapi linux/sctp.h, union sctp_notification: type u16 at 0, then of the first one state at 8. */
  #notified(): PumpResult | undefined {
    const { bytes } = this.#slab ?? this.#shared.slabs.shared;
    const type = bytes.readUInt16LE(this.#bytes);
    if (type === sctp.SCTP_PARTIAL_DELIVERY_EVENT) this.release();
    if (type !== sctp.SCTP_ASSOC_CHANGE) return undefined;
    switch (bytes.readUInt16LE(this.#bytes + 8)) {
      case sctp.SCTP_SHUTDOWN_COMP:
        return 'ended';
      case sctp.SCTP_COMM_LOST:
      // The peer knows nothing of what was before: neither may the other side go on as if.
      case sctp.SCTP_RESTART:
        return 'sourceFailed';
      default:
        return undefined;
    }
  }

  /** Returns undefined unless a whole message is held after it. */
  #drain(sink: number): PumpResult | undefined {
    if (!this.#isWhole) return undefined;
    if (!this.writable) return 'waiting';
    const { address } = this.#slab as Region;
    const result = this.#send(sink, address, this.#bytes, this.#label as Label);
    if (result === undefined) this.#clear();
    return result;
  }

  /** Undefined once it is no longer ours; `waiting` when there is no room for it. */
  #send(sink: number, address: number, bytes: number, label: Label): PumpResult | undefined {
    const sent = this.#shared.messages.send(sink, address, bytes, label);
    if (sent >= 0) {
      this.moved += bytes;
      this.packets++;
      this.#tally.bytes += bytes;
      this.#tally.packets++;
      return undefined;
    }
    switch (sent) {
      case linux.EAGAIN:
        this.writable = false;
        return 'waiting';
      case linux.ESHUTDOWN:
      case linux.EPIPE:
        this.#shared.dropped(this.#port, 'late');
        return undefined;
      case linux.EMSGSIZE:
        return this.#refuse('oversized');
      case linux.EINVAL:
        return this.#refuse('stream');
      default:
        return 'sinkFailed';
    }
  }

  #refuse(reason: AbortReason): PumpResult {
    this.#shared.dropped(this.#port, reason);
    this.#clear();
    return 'sourceFailed';
  }

  #clear(): void {
    if (this.#slab !== undefined) this.#shared.slabs.give(this.#slab);
    this.#shared.heldBytes -= this.#bytes;
    this.#slab = undefined;
    this.#bytes = 0;
    this.#isWhole = false;
  }
}
