/** TCP sockets with nothing between a test and the kernel: resets, urgent data, exact ends. */
import { decodeSockAddr, encodeSockAddr, familyOf } from '../../dist/msg/sockaddr.js';
import { Fd, errnoName, must } from '../../dist/msg/fd.js';
import * as libc from '../../dist/msg/libc.js';
import * as linux from '../../dist/msg/linux.js';
import type { Cleanup } from './cleanup.js';
import { until } from './wait.js';

export const MSG_OOB = 1;
const SO_RCVBUF = 8;
const FIONREAD = 0x541b;
const DEADLINE_MS = 15_000;
const BUFFER_BYTES = 256 * 1024;
const ADDRESS_OFFSET = 64;
const buffer = libc.allocate(BUFFER_BYTES);
const scratch = libc.allocate(128);

/** How a stream ended: in good order, or by the error that recv gave. */
export type End = 'FIN' | 'ECONNRESET' | (string & {});

export interface Outcome {
  readonly text: string;
  readonly end: End;
}

export class TcpSocket {
  readonly #fd: Fd;

  /** Owns `fd` from now on, and closes it at the latest when `cleanup` runs. */
  constructor(cleanup: Cleanup, fd: Fd) {
    this.#fd = fd;
    cleanup.defer(() => this.close());
  }

  get fd(): number {
    return this.#fd.number;
  }

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

  option(level: number, name: number): number {
    scratch.view.setUint32(8, 4, true);
    const { address } = scratch;
    must(libc.getsockopt(this.fd, level, name, address, address + 8), 'getsockopt');
    return scratch.view.getInt32(0, true);
  }

  setOption(level: number, name: number, value: number): this {
    scratch.view.setInt32(0, value, true);
    must(libc.setsockopt(this.fd, level, name, scratch.address, 4), 'setsockopt');
    return this;
  }

  /** Buffers so small that the peer of a slow reader soon has to wait. */
  shrink(): this {
    this.setOption(linux.SOL_SOCKET, SO_RCVBUF, 4096);
    return this.setOption(linux.SOL_SOCKET, linux.SO_SNDBUF, 4096);
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

  /** Sends a FIN; reading goes on. */
  finish(): void {
    must(libc.shutdown(this.fd, linux.SHUT_WR), 'shutdown');
  }

  /** Sends a RST. */
  reset(): void {
    scratch.view.setInt32(0, 1, true);
    scratch.view.setInt32(4, 0, true);
    libc.setsockopt(this.fd, linux.SOL_SOCKET, linux.SO_LINGER, scratch.address, 8);
    this.#fd.close();
  }

  close(): void {
    this.#fd.close();
  }

  /** For Node's streams: this object no longer owns the socket. */
  release(): number {
    return this.#fd.release();
  }

  bind(ip: string, port: number): this {
    const sockaddr = placeAddress(ip, port);
    this.setOption(linux.SOL_SOCKET, linux.SO_REUSEADDR, 1);
    must(libc.bind(this.fd, scratch.address + ADDRESS_OFFSET, sockaddr), `bind to ${ip}:${port}`);
    return this;
  }

  listen(backlog: number): this {
    must(libc.listen(this.fd, backlog), 'listen');
    return this;
  }

  /** The port that it is bound to. */
  get port(): number {
    scratch.view.setUint32(8, 28, true);
    const at = scratch.address + ADDRESS_OFFSET;
    must(libc.getsockname(this.fd, at, scratch.address + 8), 'getsockname');
    return decodeSockAddr(new DataView(scratch.view.buffer, ADDRESS_OFFSET)).port;
  }

  /** A connection that waits in the backlog, if there is one. */
  tryAccept(cleanup: Cleanup): TcpSocket | undefined {
    scratch.view.setUint32(8, 28, true);
    const flags = linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC;
    const at = scratch.address + ADDRESS_OFFSET;
    const fd = libc.accept4(this.fd, at, scratch.address + 8, flags);
    if (fd === linux.EAGAIN) return undefined;
    return new TcpSocket(cleanup, new Fd(must(fd, 'accept4')));
  }

  accept(cleanup: Cleanup): Promise<TcpSocket> {
    return until(() => this.tryAccept(cleanup), DEADLINE_MS, 'a connection to accept');
  }
}

export function unbound(cleanup: Cleanup, family = linux.AF_INET): TcpSocket {
  const type = linux.SOCK_STREAM | linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC;
  return new TcpSocket(cleanup, new Fd(must(libc.socket(family, type, 0), 'socket')));
}

/** Listens on 127.0.0.1, a free port where none is given. */
export function listenHere(cleanup: Cleanup, port = 0): TcpSocket {
  return unbound(cleanup).bind('127.0.0.1', port).listen(1024);
}

/** Starts to connect `socket`, which `unbound` made; on loopback that is done at once. */
export function connectSocket(socket: TcpSocket, port: number, ip = '127.0.0.1'): TcpSocket {
  const length = placeAddress(ip, port);
  const result = libc.connect(socket.fd, scratch.address + ADDRESS_OFFSET, length);
  if (result !== linux.EINPROGRESS) must(result, `connect to ${ip}:${port}`);
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

function placeAddress(ip: string, port: number): number {
  const sockaddr = encodeSockAddr({ ip, port });
  scratch.bytes.set(sockaddr, ADDRESS_OFFSET);
  return sockaddr.length;
}
