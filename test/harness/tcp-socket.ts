/** TCP sockets with nothing between a test and the kernel: resets, urgent data, exact ends. */
import { familyOf } from '../../dist/msg/sockaddr.js';
import { errnoName, must } from '../../dist/msg/fd.js';
import * as libc from '../../dist/msg/libc.js';
import * as linux from '../../dist/msg/linux.js';
import type { Cleanup } from './cleanup.js';
import { type End, KernelSocket, newSocket } from './socket.js';
import { until } from './wait.js';

export type { End } from './socket.js';

export const MSG_OOB = 1;
const FIONREAD = 0x541b;
const DEADLINE_MS = 15_000;
const BUFFER_BYTES = 256 * 1024;
const buffer = libc.allocate(BUFFER_BYTES);
/** An int, then a struct pollfd: see poll(2). */
const scratch = libc.allocate(16);
const POLLFD_OFFSET = 8;
const POLLFD_EVENTS_OFFSET = 12;
const POLLOUT = 4;

export interface Outcome {
  readonly text: string;
  readonly end: End;
}

export class TcpSocket extends KernelSocket {
  /** Bytes that the kernel took, or the negative errno. */
  send(data: string | Uint8Array, flags = 0): number {
    const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : data;
    buffer.bytes.set(bytes);
    return libc.send(this.fd, buffer.address, bytes.length, flags | linux.MSG_NOSIGNAL);
  }

  /** The bytes that wait, or their end; undefined when there is neither. */
  receive(most = BUFFER_BYTES): Buffer | End | undefined {
    const received = libc.recv(this.fd, buffer.address, most, 0);
    if (received > 0) return Buffer.from(buffer.bytes.subarray(0, received));
    if (received === linux.EAGAIN) return undefined;
    return received === 0 ? 'FIN' : errnoName(received);
  }

  /** Waits for exactly `text` to have arrived, no more and no end. */
  async expect(text: string): Promise<void> {
    let got = '';
    const step = () => {
      const received = this.receive();
      if (Buffer.isBuffer(received)) got += received.toString('latin1');
      else if (received !== undefined) throw new Error(`the stream ended by ${received}`);
      return got.length >= text.length;
    };
    await until(step, DEADLINE_MS, `"${text.slice(0, 40)}" on a socket`);
    if (got !== text) throw new Error(`expected "${text}", received "${got}"`);
  }

  /** Everything up to the end of the stream, and how it ended. */
  async outcome(): Promise<Outcome> {
    const parts: Buffer[] = [];
    let end: End | undefined;
    const step = () => {
      for (;;) {
        const received = this.receive();
        if (received === undefined) return false;
        if (!Buffer.isBuffer(received)) return (end = received);
        parts.push(received);
      }
    };
    await until(step, DEADLINE_MS, 'the end of a stream');
    return { text: Buffer.concat(parts).toString('latin1'), end: end ?? '' };
  }

  /** Bytes that the other end has not acknowledged. */
  get unacknowledged(): number {
    must(libc.ioctl(this.fd, linux.SIOCOUTQ, scratch.address), 'ioctl');
    return scratch.view.getInt32(0, true);
  }

  /** Bytes that have arrived and were not read. */
  get waiting(): number {
    must(libc.ioctl(this.fd, FIONREAD, scratch.address), 'ioctl');
    return scratch.view.getInt32(0, true);
  }

  /** A connection that waits in the backlog, if there is one. */
  tryAccept(cleanup: Cleanup): TcpSocket | undefined {
    const accepted = this.acceptFd();
    return accepted && new TcpSocket(cleanup, accepted.fd);
  }

  accept(cleanup: Cleanup): Promise<TcpSocket> {
    return until(() => this.tryAccept(cleanup), DEADLINE_MS, 'a connection to accept');
  }
}

export function unbound(cleanup: Cleanup, family = linux.AF_INET): TcpSocket {
  return new TcpSocket(cleanup, newSocket(family, linux.IPPROTO_TCP));
}

/** Listens on 127.0.0.1, a free port where none is given. */
export function listenHere(cleanup: Cleanup, port = 0): TcpSocket {
  return unbound(cleanup).bind('127.0.0.1', port).listen(1024);
}

/**
 * Connects `socket`, which `unbound` made, or meets its refusal. On loopback that is done at once,
 * unless the kernel is busy and puts it off: it takes nothing to send before.
 */
export function connectSocket(socket: TcpSocket, port: number, ip = '127.0.0.1'): TcpSocket {
  socket.connect(ip, port);
  scratch.view.setInt32(POLLFD_OFFSET, socket.fd, true);
  scratch.view.setInt16(POLLFD_EVENTS_OFFSET, POLLOUT, true);
  must(libc.poll(scratch.address + POLLFD_OFFSET, 1, DEADLINE_MS), 'poll');
  return socket;
}

export function connect(cleanup: Cleanup, port: number, ip = '127.0.0.1'): TcpSocket {
  return connectSocket(unbound(cleanup, familyOf(ip)), port, ip);
}

/** Sends until the kernel takes no more. Returns the number of bytes that it took. */
export function fill(socket: TcpSocket): number {
  const block = new Uint8Array(64 * 1024);
  let total = 0;
  for (let sent = socket.send(block); sent > 0; sent = socket.send(block)) total += sent;
  return total;
}
