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
import { Fd, errnoName } from './fd.js';
import { encodeFrame, FrameDecoder } from './frame.js';
import * as libc from './libc.js';
import * as linux from './linux.js';
import { fdsOf, MAX_FDS_PER_MESSAGE } from './protocol.js';

const IOVEC_OFFSET = 56;
const CONTROL_OFFSET = 72;
const CMSG_HEADER_BYTES = 16;
const CONTROL_BYTES = CMSG_HEADER_BYTES + 4 * MAX_FDS_PER_MESSAGE;
const DATA_OFFSET = 256;
const DATA_BYTES = 64 * 1024;
/** More than this waiting to be written means that the peer has stopped reading. */
const MAX_QUEUED_BYTES = 8 << 20;

const NOTHING = new Uint8Array();

/** struct msghdr at 0, its iovec, its control buffer, then the data: shared by all channels. */
const scratch = libc.allocate(DATA_OFFSET + DATA_BYTES);

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
      const chunk = scratch.bytes.subarray(DATA_OFFSET, DATA_OFFSET + received);
      yield* this.#decoded(chunk);
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

/** A connected pair of non-blocking sockets, both closed on exec. */
export function socketPair(kind = linux.SOCK_STREAM): [Fd, Fd] {
  const type = kind | linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC;
  const result = libc.socketpair(linux.AF_UNIX, type, 0, scratch.address);
  if (result < 0) throw failure('socketpair', result);
  return [new Fd(scratch.view.getInt32(0, true)), new Fd(scratch.view.getInt32(4, true))];
}

function sendWithFds(socket: number, bytes: Buffer, fds: readonly number[]): number {
  const length = Math.min(bytes.length, DATA_BYTES);
  scratch.bytes.set(bytes.subarray(0, length), DATA_OFFSET);
  const controlBytes = fds.length === 0 ? 0 : CMSG_HEADER_BYTES + 4 * fds.length;
  layOutMessage(length, controlBytes === 0 ? 0 : (controlBytes + 7) & ~7);
  if (controlBytes > 0) {
    scratch.view.setBigUint64(CONTROL_OFFSET, BigInt(controlBytes), true);
    scratch.view.setInt32(CONTROL_OFFSET + 8, linux.SOL_SOCKET, true);
    scratch.view.setInt32(CONTROL_OFFSET + 12, linux.SCM_RIGHTS, true);
    const data = CONTROL_OFFSET + CMSG_HEADER_BYTES;
    fds.forEach((fd, index) => scratch.view.setInt32(data + 4 * index, fd, true));
  }
  return libc.sendmsg(socket, scratch.address, linux.MSG_NOSIGNAL | linux.MSG_DONTWAIT);
}

/** Appends what came along to `arrived`; the data stands at DATA_OFFSET. */
function receiveWithFds(socket: number, arrived: Fd[]): number {
  layOutMessage(DATA_BYTES, (CONTROL_BYTES + 7) & ~7);
  const flags = linux.MSG_DONTWAIT | linux.MSG_CMSG_CLOEXEC;
  const received = libc.recvmsg(socket, scratch.address, flags);
  if (received <= 0) return received;
  const controlLength = Number(scratch.view.getBigUint64(40, true));
  if (controlLength >= CMSG_HEADER_BYTES) {
    const end = CONTROL_OFFSET + Number(scratch.view.getBigUint64(CONTROL_OFFSET, true));
    for (let at = CONTROL_OFFSET + CMSG_HEADER_BYTES; at < end; at += 4) {
      arrived.push(new Fd(scratch.view.getInt32(at, true)));
    }
  }
  return received;
}

/**
 * Whether the message just received lost fds on the way, because this process may open no more;
 * closes those that made it. Throws when there were simply too many.
 */
function wereFdsCut(arrived: Fd[]): boolean {
  const isCut = (scratch.view.getInt32(48, true) & linux.MSG_CTRUNC) !== 0;
  if (!isCut) return false;
  if (arrived.length >= MAX_FDS_PER_MESSAGE) {
    throw new SluiceError(
      'ERR_FRAME_FDS',
      `more than ${MAX_FDS_PER_MESSAGE} fds came with one message`,
    );
  }
  for (const fd of arrived.splice(0)) fd.close();
  return true;
}

function layOutMessage(dataBytes: number, controlBytes: number): void {
  const { view, address } = scratch;
  view.setBigUint64(0, 0n, true);
  view.setUint32(8, 0, true);
  view.setBigUint64(16, BigInt(address + IOVEC_OFFSET), true);
  view.setBigUint64(24, 1n, true);
  view.setBigUint64(32, controlBytes === 0 ? 0n : BigInt(address + CONTROL_OFFSET), true);
  view.setBigUint64(40, BigInt(controlBytes), true);
  view.setInt32(48, 0, true);
  view.setBigUint64(IOVEC_OFFSET, BigInt(address + DATA_OFFSET), true);
  view.setBigUint64(IOVEC_OFFSET + 8, BigInt(dataBytes), true);
}

function failure(call: string, result: number): SluiceError {
  return new SluiceError(errnoName(result), `${call} on the control channel: ${errnoName(result)}`);
}
