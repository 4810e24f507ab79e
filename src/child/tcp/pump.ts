/**
 * One direction of a TCP flow: moves bytes from one socket to the other until both are dry.
 *
 * Small traffic is copied through a buffer that all flows share. A direction that keeps filling
 * the buffer is streaming: it borrows a pipe and splices, so that bytes never enter this process.
 * Whenever its source runs dry the pipe goes back, and is borrowed again for the next burst.
 *
 * States and what each may hold:
 *
 *   copying   nothing, or a slab with bytes that the sink refused
 *   splicing  a pipe, with bytes or empty
 *   finished  nothing: the end of the source was passed on
 *
 * What must never happen:
 * - Reading while the direction still holds bytes: order would be lost. So a pipe is only ever
 *   filled when empty, and then EAGAIN from the source has one meaning: the source is dry.
 * - Forgetting an edge. `readable` and `writable` stay true until a call proves otherwise. A short
 *   recv is such a proof, except where recv stops early: at an urgent mark, and in front of a reset
 *   that came in the same edge as the data. Once the kernel has reported one of these, only EAGAIN
 *   counts. Once it has reported a FIN, a short recv has taken all there was: it is the end.
 * - Believing a splice at an urgent mark: it returns EAGAIN, or 0 where a FIN is queued, with bytes
 *   behind the mark. Only a recv of 0 is the end; after urgent data only its EAGAIN means dry.
 */

import type { Region } from '../../msg/libc.js';
import * as libc from '../../msg/libc.js';
import * as linux from '../../msg/linux.js';
import type { Tally } from '../counters.js';
import { PIPE_BYTES, type Pipe, type PipePool } from '../pipes.js';
import type { Pump, PumpResult } from '../pump.js';
import { COPY_BYTES, type SlabPool } from '../slabs.js';

/** Bytes that one direction may move in a turn before others get theirs. */
const TURN_BYTES = 512 * 1024;
/** Full buffers in a row that make a direction a stream; as many small splices end it. */
const STREAM_MOMENTUM = 4;
const SPLICE_FLAGS = linux.SPLICE_F_MOVE | linux.SPLICE_F_NONBLOCK;

export interface Buffers {
  readonly slabs: SlabPool;
  readonly pipes: PipePool;
}

/** Bytes that the sink refused: from `start` to `end`. */
interface Held {
  readonly slab: Region;
  start: number;
  readonly end: number;
}

export class TcpPump implements Pump {
  readable = true;
  writable = true;
  untilDry = false;
  hungUp = false;
  /** Bytes handed to the sink. */
  moved = 0;

  readonly #buffers: Buffers;
  readonly #tally: Tally;
  #held: Held | undefined;
  #pipe: Pipe | undefined;
  #isAtEnd = false;
  #isStreaming = false;
  #momentum = 0;

  /** What is delivered is added to the port's `tally`. */
  constructor(buffers: Buffers, tally: Tally) {
    this.#buffers = buffers;
    this.#tally = tally;
  }

  get packets(): number {
    return 0;
  }

  /** True while bytes were read that the sink hasn't taken. */
  get holdsBytes(): boolean {
    return this.#held !== undefined || (this.#pipe !== undefined && this.#pipe.bytes > 0);
  }

  run(source: number, sink: number): PumpResult {
    const limit = this.moved + TURN_BYTES;
    for (;;) {
      const stuck = this.#drain(sink);
      if (stuck !== undefined) return stuck;
      if (this.#isAtEnd) return 'ended';
      if (this.moved >= limit) return 'again';
      if (!this.readable || !this.writable) return this.#rest();
      if (!this.#isStreaming) this.#releasePipe();
      else this.#pipe ??= this.#buffers.pipes.take();
      const outcome = this.#pipe === undefined ? this.#copy(source, sink) : this.#fill(source);
      if (outcome !== undefined) return outcome;
    }
  }

  flush(sink: number): PumpResult {
    return this.#drain(sink) ?? 'ended';
  }

  release(): void {
    this.#releaseSlab();
    this.#releasePipe();
  }

  #copy(source: number, sink: number): PumpResult | undefined {
    const { shared } = this.#buffers.slabs;
    const received = libc.recv(source, shared.address, COPY_BYTES, 0);
    if (received <= 0) return this.#sourceSaid(received);
    if (received === COPY_BYTES) {
      // Without a pipe a stream goes on here: what it copies must not take longer to be forgotten.
      this.#momentum = Math.min(this.#momentum + 1, STREAM_MOMENTUM);
      if (this.#momentum === STREAM_MOMENTUM) this.#isStreaming = true;
    } else {
      this.#momentum = 0;
      this.#isStreaming = false;
      if (!this.untilDry) this.readable = false;
      this.#isAtEnd = this.hungUp && !this.untilDry;
    }
    const sent = libc.send(sink, shared.address, received, linux.MSG_NOSIGNAL);
    if (sent < 0 && sent !== linux.EAGAIN) return 'sinkFailed';
    const taken = Math.max(sent, 0);
    this.#delivered(taken);
    return taken === received ? undefined : this.#keep(taken, received);
  }

  /** Moves the bytes of the shared buffer that the sink refused to a slab. */
  #keep(start: number, end: number): PumpResult | undefined {
    this.writable = false;
    const slab = this.#buffers.slabs.take();
    if (slab === undefined) return 'sinkFailed';
    this.#buffers.slabs.shared.bytes.copy(slab.bytes, 0, start, end);
    this.#held = { slab, start: 0, end: end - start };
    return undefined;
  }

  #fill(source: number): PumpResult | undefined {
    const pipe = this.#pipe as Pipe;
    const filled = libc.splice(source, pipe.writeEnd, PIPE_BYTES, SPLICE_FLAGS);
    if (filled > 0) {
      pipe.bytes = filled;
      if (filled >= COPY_BYTES) this.#momentum = STREAM_MOMENTUM;
      else if (--this.#momentum === 0) this.#isStreaming = false;
      return undefined;
    }
    const isUnclear = filled === 0 || (filled === linux.EAGAIN && (this.untilDry || this.hungUp));
    if (!isUnclear) return this.#sourceSaid(filled);
    // Dry, at its end, or at an urgent mark: a recv tells which.
    this.#releasePipe();
    this.#isStreaming = false;
    this.#momentum = 0;
    return undefined;
  }

  /** Returns undefined once nothing is held any more. */
  #drain(sink: number): PumpResult | undefined {
    while (this.holdsBytes) {
      if (!this.writable) return 'waiting';
      const sent = this.#held === undefined ? this.#drainPipe(sink) : this.#drainSlab(sink);
      if (sent === linux.EAGAIN) this.writable = false;
      else if (sent < 0) return 'sinkFailed';
      else this.#delivered(sent);
    }
    return undefined;
  }

  #delivered(bytes: number): void {
    this.moved += bytes;
    this.#tally.bytes += bytes;
  }

  #drainSlab(sink: number): number {
    const held = this.#held as Held;
    const left = held.end - held.start;
    const sent = libc.send(sink, held.slab.address + held.start, left, linux.MSG_NOSIGNAL);
    if (sent > 0) held.start += sent;
    if (held.start === held.end) this.#releaseSlab();
    return sent;
  }

  #drainPipe(sink: number): number {
    const pipe = this.#pipe as Pipe;
    const sent = libc.splice(pipe.readEnd, sink, pipe.bytes, SPLICE_FLAGS);
    if (sent > 0) pipe.bytes -= sent;
    return sent;
  }

  #sourceSaid(result: number): PumpResult | undefined {
    if (result === 0) return 'ended';
    if (result !== linux.EAGAIN) return 'sourceFailed';
    this.readable = false;
    return undefined;
  }

  /** Nothing to do now; an idle direction owns nothing. */
  #rest(): PumpResult {
    if (!this.readable) this.#releasePipe();
    return 'waiting';
  }

  #releaseSlab(): void {
    if (this.#held !== undefined) this.#buffers.slabs.give(this.#held.slab);
    this.#held = undefined;
  }

  #releasePipe(): void {
    if (this.#pipe !== undefined) this.#buffers.pipes.give(this.#pipe);
    this.#pipe = undefined;
  }
}
