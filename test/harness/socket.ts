/** Stream sockets of any protocol with nothing between a test and the kernel. */
import { type Address, decodeSockAddr, encodeSockAddr } from '../../dist/msg/sockaddr.js';
import { Fd, must } from '../../dist/msg/fd.js';
import * as libc from '../../dist/msg/libc.js';
import * as linux from '../../dist/msg/linux.js';
import type { Cleanup } from './cleanup.js';

const SO_RCVBUF = 8;
const SOCKADDR_BYTES = 28;
const ADDRESS_OFFSET = 256;
const LENGTH_OFFSET = 248;
/** A value of an option, then its length, then a socket address. */
const scratch = libc.allocate(512);

/** How a stream ended: in good order, or by the error that recv gave. */
export type End = 'FIN' | 'ECONNRESET' | (string & {});

export class KernelSocket {
  readonly #fd: Fd;

  /** Owns `fd` from now on, and closes it at the latest when `cleanup` runs. */
  constructor(cleanup: Cleanup, fd: Fd) {
    this.#fd = fd;
    cleanup.defer(() => this.close());
  }

  get fd(): number {
    return this.#fd.number;
  }

  option(level: number, name: number): number {
    return this.optionBytes(level, name, 4).readInt32LE();
  }

  /** An option that is a struct of `length` bytes, 240 at most. */
  optionBytes(level: number, name: number, length: number): Buffer {
    scratch.view.setUint32(LENGTH_OFFSET, length, true);
    const { address } = scratch;
    must(libc.getsockopt(this.fd, level, name, address, address + LENGTH_OFFSET), 'getsockopt');
    return Buffer.from(scratch.bytes.subarray(0, length));
  }

  setOption(level: number, name: number, value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(value);
    return this.setOptionBytes(level, name, bytes);
  }

  setOptionBytes(level: number, name: number, bytes: Uint8Array): this {
    scratch.bytes.set(bytes);
    const result = libc.setsockopt(this.fd, level, name, scratch.address, bytes.length);
    must(result, `setsockopt ${level} ${name}`);
    return this;
  }

  /** Buffers so small that the peer of a slow reader soon has to wait. */
  shrink(): this {
    this.setOption(linux.SOL_SOCKET, SO_RCVBUF, 4096);
    return this.setOption(linux.SOL_SOCKET, linux.SO_SNDBUF, 4096);
  }

  bind(ip: string, port: number): this {
    this.setOption(linux.SOL_SOCKET, linux.SO_REUSEADDR, 1);
    const length = placeAddress(ip, port);
    must(libc.bind(this.fd, scratch.address + ADDRESS_OFFSET, length), `bind to ${ip}:${port}`);
    return this;
  }

  listen(backlog: number): this {
    must(libc.listen(this.fd, backlog), 'listen');
    return this;
  }

  /** Starts to connect. */
  connect(ip: string, port: number): this {
    const length = placeAddress(ip, port);
    const result = libc.connect(this.fd, scratch.address + ADDRESS_OFFSET, length);
    if (result !== linux.EINPROGRESS) must(result, `connect to ${ip}:${port}`);
    return this;
  }

  /** The port that it is bound to. */
  get port(): number {
    scratch.view.setUint32(LENGTH_OFFSET, SOCKADDR_BYTES, true);
    const at = scratch.address + ADDRESS_OFFSET;
    must(libc.getsockname(this.fd, at, scratch.address + LENGTH_OFFSET), 'getsockname');
    return placedAddress().port;
  }

  /** A connection that waits in the backlog, if there is one. */
  protected acceptFd(): { readonly fd: Fd; readonly peer: Address } | undefined {
    scratch.view.setUint32(LENGTH_OFFSET, SOCKADDR_BYTES, true);
    const flags = linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC;
    const { address } = scratch;
    const fd = libc.accept4(this.fd, address + ADDRESS_OFFSET, address + LENGTH_OFFSET, flags);
    if (fd === linux.EAGAIN) return undefined;
    return { fd: new Fd(must(fd, 'accept4')), peer: placedAddress() };
  }

  /** Sends no more; reading goes on. */
  finish(): void {
    must(libc.shutdown(this.fd, linux.SHUT_WR), 'shutdown');
  }

  /** Closes with a reset: TCP's RST, SCTP's ABORT. */
  reset(): void {
    const linger = Buffer.alloc(8);
    linger.writeInt32LE(1);
    this.setOptionBytes(linux.SOL_SOCKET, linux.SO_LINGER, linger);
    this.#fd.close();
  }

  close(): void {
    this.#fd.close();
  }

  /** For Node's streams: this object no longer owns the socket. */
  release(): number {
    return this.#fd.release();
  }
}

/** A new non-blocking socket of the namespace that this process is in. */
export function newSocket(family: number, protocol: number): Fd {
  return new Fd(must(libc.socket(family, typeFor(protocol), protocol), 'socket'));
}

/** What a non-blocking socket of the protocol is made with. */
export function typeFor(protocol: number): number {
  const kind = protocol === linux.IPPROTO_UDP ? linux.SOCK_DGRAM : linux.SOCK_STREAM;
  return kind | linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC;
}

function placeAddress(ip: string, port: number): number {
  const sockaddr = encodeSockAddr({ ip, port });
  scratch.bytes.set(sockaddr, ADDRESS_OFFSET);
  return sockaddr.length;
}

function placedAddress(): Address {
  return decodeSockAddr(new DataView(scratch.view.buffer, ADDRESS_OFFSET));
}
