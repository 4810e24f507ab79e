/** One-to-one SCTP sockets: messages with their labels, notifications, exact ends. */
import { type Address, familyOf } from '../../dist/msg/sockaddr.js';
import { type Fd, errnoName, must } from '../../dist/msg/fd.js';
import * as libc from '../../dist/msg/libc.js';
import * as linux from '../../dist/msg/linux.js';
import type { Cleanup } from './cleanup.js';
import * as abi from './sctp-abi.js';
import { type End, KernelSocket, newSocket } from './socket.js';
import { until } from './wait.js';

const DEADLINE_MS = 15_000;
const LARGEST_MESSAGE_BYTES = 2 << 20;
const IOVEC_OFFSET = 56;
const CONTROL_OFFSET = 128;
const CONTROL_BYTES = 256;
const DATA_OFFSET = 4096;
/** struct msghdr at 0, its iovec, its control messages, then the data. */
const scratch = libc.allocate(DATA_OFFSET + LARGEST_MESSAGE_BYTES);

/** The default: stream 0, no PPID, in order. */
const UNLABELLED: abi.Label = { stream: 0, ppid: 0, unordered: false };

export interface Message extends abi.Label {
  readonly data: Buffer;
}

/** What one recvmsg gives: a message or the next part of one, a notification, or the end. */
export type Received =
  | ({ readonly kind: 'data'; readonly isLast: boolean } & Message)
  | { readonly kind: 'event'; readonly event: abi.Notification }
  | { readonly kind: 'end'; readonly end: End };

export interface Outcome {
  readonly messages: readonly Message[];
  /** Bytes of a message whose end never came. */
  readonly cutBytes: number;
  readonly end: End;
}

export class SctpSocket extends KernelSocket {
  /** Who is at the other end of an accepted association. */
  readonly peer: Address | undefined;
  /** Notifications so far, of the kinds subscribed to. */
  readonly events: abi.Notification[] = [];
  /** Read while a notification was waited for. */
  readonly #inbox: (Message | End)[] = [];
  readonly #parts: Buffer[] = [];

  constructor(cleanup: Cleanup, fd: Fd, peer?: Address) {
    super(cleanup, fd);
    this.peer = peer;
    this.setOption(abi.IPPROTO_SCTP, abi.SCTP_RECVRCVINFO, 1);
  }

  /** What to ask the other end for; before connect or listen. */
  askFor(streams: abi.Streams): this {
    return this.setOptionBytes(abi.IPPROTO_SCTP, abi.SCTP_INITMSG, abi.encodeInitMsg(streams));
  }

  subscribe(...types: readonly number[]): this {
    for (const type of types) {
      this.setOptionBytes(abi.IPPROTO_SCTP, abi.SCTP_EVENT, abi.encodeEvent(type));
    }
    return this;
  }

  /** The streams that both ends agreed on. Throws where there is no association. */
  get streams(): abi.Streams {
    return abi.decodeStreams(this.optionBytes(abi.IPPROTO_SCTP, abi.SCTP_STATUS, abi.STATUS_BYTES));
  }

  /** The side that shuts down is told of the end by a notification alone, recv gives it none. */
  override finish(): void {
    this.subscribe(abi.SCTP_ASSOC_CHANGE);
    super.finish();
  }

  /** Sends one message. Returns its bytes, or the negative errno. */
  send(data: string | Uint8Array, label: Partial<abi.Label> = {}): number {
    const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : data;
    const control = abi.encodeSndInfo({ ...UNLABELLED, ...label });
    scratch.bytes.set(bytes, DATA_OFFSET);
    scratch.bytes.set(control, CONTROL_OFFSET);
    layOut(bytes.length, control.length);
    return libc.sendmsg(this.fd, scratch.address, linux.MSG_NOSIGNAL);
  }

  /** Sends one message as soon as there is room for it. */
  async deliver(data: string | Uint8Array, label: Partial<abi.Label> = {}): Promise<void> {
    const step = () => {
      const result = this.send(data, label);
      return result !== linux.EAGAIN && { result };
    };
    const what = `room for a message of ${data.length} bytes`;
    must((await until(step, DEADLINE_MS, what)).result, 'sendmsg');
  }

  /** Calls recvmsg once. Undefined where nothing waits. */
  receive(most = LARGEST_MESSAGE_BYTES): Received | undefined {
    layOut(most, CONTROL_BYTES);
    const received = libc.recvmsg(this.fd, scratch.address, 0);
    if (received === linux.EAGAIN) return undefined;
    const flags = scratch.view.getInt32(48, true);
    // A message has at least one byte, so 0 is the end.
    if (received <= 0) return { kind: 'end', end: received === 0 ? 'FIN' : errnoName(received) };
    const data = Buffer.from(scratch.bytes.subarray(DATA_OFFSET, DATA_OFFSET + received));
    if ((flags & abi.MSG_NOTIFICATION) !== 0) {
      return { kind: 'event', event: abi.decodeNotification(data) };
    }
    const end = CONTROL_OFFSET + scratch.view.getUint32(40, true);
    const label = abi.decodeRcvInfo(scratch.bytes.subarray(CONTROL_OFFSET, end)) ?? UNLABELLED;
    return { kind: 'data', data, isLast: (flags & abi.MSG_EOR) !== 0, ...label };
  }

  /** The next whole message that waits, or the end; notifications go to `events`. */
  next(): Message | End | undefined {
    return this.#inbox.shift() ?? this.#read();
  }

  #read(): Message | End | undefined {
    for (let got = this.receive(); got !== undefined; got = this.receive()) {
      if (got.kind === 'end') return got.end;
      if (got.kind === 'event') {
        this.events.push(got.event);
        if (got.event.state === abi.SCTP_SHUTDOWN_COMP) return 'FIN';
        continue;
      }
      this.#parts.push(got.data);
      if (!got.isLast) continue;
      const data = Buffer.concat(this.#parts.splice(0));
      return { data, stream: got.stream, ppid: got.ppid, unordered: got.unordered };
    }
    return undefined;
  }

  /** Waits for the next message. */
  async message(): Promise<Message> {
    const next = await until(() => this.next(), DEADLINE_MS, 'a message');
    if (typeof next === 'string') throw new Error(`the association ended by ${next}`);
    return next;
  }

  /** Everything up to the end of the association, and how it ended. */
  async outcome(): Promise<Outcome> {
    const messages: Message[] = [];
    const step = () => {
      for (let next = this.next(); next !== undefined; next = this.next()) {
        if (typeof next === 'string') return next;
        messages.push(next);
      }
      return undefined;
    };
    const end = await until(step, DEADLINE_MS, 'the end of an association');
    return { messages, cutBytes: Buffer.concat(this.#parts).length, end };
  }

  /** Waits for a notification of this type. */
  event(type: number): Promise<abi.Notification> {
    const find = () => {
      const got = this.#read();
      if (got !== undefined) this.#inbox.push(got);
      return this.events.find((event) => event.type === type);
    };
    return until(find, DEADLINE_MS, `the notification ${type}`);
  }

  tryAccept(cleanup: Cleanup): SctpSocket | undefined {
    const accepted = this.acceptFd();
    return accepted && new SctpSocket(cleanup, accepted.fd, accepted.peer);
  }

  accept(cleanup: Cleanup): Promise<SctpSocket> {
    return until(() => this.tryAccept(cleanup), DEADLINE_MS, 'an association to accept');
  }
}

export function unboundSctp(cleanup: Cleanup, ip = '127.0.0.1'): SctpSocket {
  return new SctpSocket(cleanup, newSocket(familyOf(ip), abi.IPPROTO_SCTP));
}

/** Listens on a free port where none is given. */
export function listenSctp(cleanup: Cleanup, ip = '127.0.0.1', port = 0): SctpSocket {
  return unboundSctp(cleanup, ip).bind(ip, port).listen(128);
}

export function connectSctp(cleanup: Cleanup, port: number, ip = '127.0.0.1'): SctpSocket {
  return unboundSctp(cleanup, ip).connect(ip, port);
}

function layOut(dataBytes: number, controlBytes: number): void {
  const { view, address } = scratch;
  scratch.bytes.fill(0, 0, IOVEC_OFFSET);
  view.setBigUint64(16, BigInt(address + IOVEC_OFFSET), true);
  view.setBigUint64(24, 1n, true);
  view.setBigUint64(32, BigInt(address + CONTROL_OFFSET), true);
  view.setBigUint64(40, BigInt(controlBytes), true);
  view.setBigUint64(IOVEC_OFFSET, BigInt(address + DATA_OFFSET), true);
  view.setBigUint64(IOVEC_OFFSET + 8, BigInt(dataBytes), true);
}
