/**
 * One end of the socketpair between parent and agent: messages both ways, file descriptors with
 * them. Non-blocking and driven by readiness, so that it fits the agent's reactor and the parent's
 * poller alike; it owns its socket and every fd that arrived and was not yet taken.
 *
 * Source: unix(7), cmsg(3). A recvmsg never crosses a boundary of SCM_RIGHTS, so by the time a
 * frame is complete its fds have arrived, and no others are waiting once the stream stands between
 * two frames.
 */

import { SluiceError } from './errors.js';
import type { Fd } from './fd.js';
import { encodeFrame, FrameDecoder } from './frame.js';
import * as linux from './linux.js';
import { fdsOf } from './protocol.js';
import { failure, receivedBytes, receiveWithFds, sendWithFds, wereFdsCut } from './scm-rights.js';

export { socketPair } from './scm-rights.js';

/** More than this waiting to be written means that the peer has stopped reading. */
const MAX_QUEUED_BYTES = 8 << 20;

const NOTHING = new Uint8Array();

export interface Received {
  /** Not validated yet. */
  readonly message: unknown;
  /** Owned by the receiver. */
  readonly fds: readonly Fd[];
  /** This process had no room for the fds that came along: there are none in `fds`. */
  readonly lostFds: boolean;
}

interface Outgoing {
  bytes: Buffer;
  fds: readonly number[];
}

export class Channel implements Disposable {
  readonly #socket: Fd;
  readonly #decoder = new FrameDecoder();
  readonly #arrived: Fd[] = [];
  readonly #queue: Outgoing[] = [];
  #queuedBytes = 0;
  #hasLostFds = false;
  #ended = false;

  constructor(socket: Fd) {
    this.#socket = socket;
  }

  get fd(): number {
    return this.#socket.number;
  }

  /** True while `flush` has something left to write. */
  get wantsWrite(): boolean {
    return this.#queue.length > 0;
  }

  /** Written by `send`, and not taken by the socket yet. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** True once the other side has closed its end. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Sends or queues. The `fds` stay the caller's and must stay open until the peer has answered. */
  send(message: object, fds: readonly number[] = []): void {
    const bytes = encodeFrame(message);
    this.#queuedBytes += bytes.length;
    if (this.#queuedBytes > MAX_QUEUED_BYTES) {
      throw new SluiceError(
        'ERR_CHANNEL_FULL',
        `${this.#queuedBytes} bytes are waiting for the other side, which has stopped reading`,
      );
    }
    this.#queue.push({ bytes, fds });
    this.flush();
  }

  /** Writes what the socket takes now. A peer that is gone shows as `ended` on the next read. */
  flush(): void {
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      const sent = sendWithFds(this.#socket.number, next.bytes, next.fds);
      if (sent === linux.EAGAIN) return;
      if (sent === linux.EPIPE) this.#dropQueue();
      else if (sent < 0) throw failure('sendmsg', sent);
      else this.#advance(next, sent);
    }
  }

  /**
   * Everything that has arrived. A caller that stops in the middle finds the rest at the next call.
   * Throws when the stream can't be trusted: close the channel then.
   */
  *receive(): Generator<Received, void, void> {
    yield* this.#decoded(NOTHING);
    while (!this.#ended) {
      const received = receiveWithFds(this.#socket.number, this.#arrived);
      if (received > 0 && wereFdsCut(this.#arrived)) this.#hasLostFds = true;
      if (received === linux.EAGAIN) return;
      // A peer that closed with our bytes unread shows as a reset.
      if (received === 0 || received === linux.ECONNRESET) {
        this.#end();
        return;
      }
      if (received < 0) throw failure('recvmsg', received);
      yield* this.#decoded(receivedBytes(received));
      if (this.#decoder.isAtBoundary && this.#arrived.length > 0) {
        throw new SluiceError(
          'ERR_FRAME_FDS',
          `${this.#arrived.length} fds came without a message`,
        );
      }
    }
  }

  /** Closes the socket and every fd that nobody took. */
  close(): void {
    this.#dropQueue();
    this.dropArrived();
    this.#socket.close();
  }

  /** Closes every fd that nobody took. */
  dropArrived(): void {
    for (const fd of this.#arrived.splice(0)) fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  *#decoded(chunk: Uint8Array): Generator<Received, void, void> {
    for (const message of this.#decoder.push(chunk)) {
      const count = fdsOf(message);
      const lostFds = this.#hasLostFds && count > 0;
      if (lostFds) this.#hasLostFds = false;
      yield { message, fds: lostFds ? [] : this.#takeFds(count), lostFds };
    }
  }

  #advance(next: Outgoing, sent: number): void {
    this.#queuedBytes -= sent;
    next.fds = [];
    next.bytes = next.bytes.subarray(sent);
    if (next.bytes.length === 0) this.#queue.shift();
  }

  #dropQueue(): void {
    this.#queue.length = 0;
    this.#queuedBytes = 0;
  }

  #end(): void {
    this.#ended = true;
    if (!this.#decoder.isAtBoundary) {
      throw new SluiceError('ERR_FRAME_CUT', 'the other side closed the channel inside a frame');
    }
  }

  #takeFds(count: number): Fd[] {
    if (!Number.isSafeInteger(count) || count < 0 || count > this.#arrived.length) {
      throw new SluiceError(
        'ERR_FRAME_FDS',
        `a message announced ${count} fds, ${this.#arrived.length} came with it`,
      );
    }
    return this.#arrived.splice(0, count);
  }
}
