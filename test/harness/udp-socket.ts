/** UDP sockets with nothing between a test and the kernel: TOS, local addresses, merged datagrams. */
import { Inbox, SLOTS } from '../../dist/child/udp/inbox.js';
import { IPV4, IPV6, cmsgWords, writeCmsg } from '../../dist/child/udp/layout.js';
import { Fd, must } from '../../dist/msg/fd.js';
import * as libc from '../../dist/msg/libc.js';
import * as linux from '../../dist/msg/linux.js';
import {
  type Address,
  SOCKADDR_IN6_BYTES,
  decodeSockAddr,
  encodeSockAddr,
} from '../../dist/msg/sockaddr.js';
import { setDatagramOptions, setPktinfo } from '../../dist/msg/udp-options.js';
import type { Cleanup } from './cleanup.js';
import { until } from './wait.js';

const DEADLINE_MS = 15_000;
const inbox = new Inbox();
const PAYLOAD_BYTES = 128 * 1024;
const payload = libc.allocate(PAYLOAD_BYTES);
const ADDRESS = 0;
const LENGTH = 64;
const HEADER = 128;
const IOVEC = 256;
const CONTROL = 512;
const scratch = libc.allocate(4096);
const words = new Int32Array(scratch.view.buffer);

export interface Datagram {
  readonly bytes: Buffer;
  readonly from: Address;
  readonly tos: number;
}

export interface SendOptions {
  /** Without it to where the socket is connected. */
  readonly to?: Address;
  readonly tos?: number;
  /** Bytes of each datagram that the kernel is to make of it. */
  readonly segment?: number;
}

export class UdpSocket {
  readonly #fd: Fd;
  readonly #family: number;
  readonly #received: Datagram[] = [];

  /** Owns `fd` from now on, and closes it at the latest when `cleanup` runs. */
  constructor(cleanup: Cleanup, fd: Fd, family: number) {
    this.#fd = fd;
    this.#family = family;
    setDatagramOptions(fd.number, family);
    setPktinfo(fd.number, family);
    cleanup.defer(() => this.close());
  }

  get fd(): number {
    return this.#fd.number;
  }

  bind(ip: string, port = 0): this {
    must(this.#withAddress(libc.bind, { ip, port }), `bind to ${ip}:${port}`);
    return this;
  }

  connect(ip: string, port: number): this {
    must(this.#withAddress(libc.connect, { ip, port }), `connect to ${ip}:${port}`);
    return this;
  }

  get port(): number {
    scratch.view.setUint32(LENGTH, SOCKADDR_IN6_BYTES, true);
    must(
      libc.getsockname(this.fd, scratch.address + ADDRESS, scratch.address + LENGTH),
      'getsockname',
    );
    return decodeSockAddr(scratch.view).port;
  }

  /** What the kernel took, or the negative errno. */
  trySend(data: string | Uint8Array, { to, tos = 0, segment = 0 }: SendOptions = {}): number {
    const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : data;
    payload.bytes.set(bytes);
    scratch.bytes.fill(0);
    const name = to === undefined ? new Uint8Array(0) : encodeSockAddr(to);
    scratch.bytes.set(name, ADDRESS);
    pointer(HEADER, scratch.address + ADDRESS);
    scratch.view.setUint32(HEADER + 8, name.length, true);
    pointer(HEADER + 16, scratch.address + IOVEC);
    scratch.view.setUint32(HEADER + 24, 1, true);
    pointer(IOVEC, payload.address);
    scratch.view.setUint32(IOVEC + 8, bytes.length, true);
    pointer(HEADER + 32, scratch.address + CONTROL);
    scratch.view.setUint32(HEADER + 40, this.#control(tos, segment), true);
    return libc.sendmsg(this.fd, scratch.address + HEADER, 0);
  }

  send(data: string | Uint8Array, options: SendOptions = {}): this {
    must(this.trySend(data, options), 'sendmsg');
    return this;
  }

  /** Datagrams that have come, those that were merged one by one; undefined when there is none. */
  tryReceive(): Datagram | undefined {
    if (this.#received.length === 0) this.#fetch();
    return this.#received.shift();
  }

  receive(): Promise<Datagram> {
    return until(() => this.tryReceive(), DEADLINE_MS, 'a datagram');
  }

  async receiveText(): Promise<string> {
    return (await this.receive()).bytes.toString('latin1');
  }

  /** Sends back everything that comes, until `isDone`. */
  async echoUntil(isDone: () => boolean): Promise<void> {
    const step = () => {
      for (let one = this.tryReceive(); one; one = this.tryReceive()) this.answer(one, one.bytes);
      return isDone();
    };
    await until(step, DEADLINE_MS, 'the end of an exchange');
  }

  answer({ from }: Datagram, data: string | Uint8Array, tos = 0): void {
    this.send(data, { to: from, tos });
  }

  close(): void {
    this.#fd.close();
  }

  #fetch(): void {
    const count = inbox.receive(this.fd);
    for (let slot = 0; slot < Math.min(count, SLOTS); slot++) {
      const all = inbox.copy(slot);
      const name = new DataView(inbox.words.buffer, inbox.nameWord(slot) * 4);
      const from = decodeSockAddr(name);
      const tos = inbox.tos[slot] ?? 0;
      const segment = inbox.segments[slot] || 1;
      for (let at = 0; at < all.length || at === 0; at += segment) {
        this.#received.push({ bytes: all.subarray(at, at + segment), from, tos });
      }
    }
  }

  /** Returns the length of the control messages. */
  #control(tos: number, segment: number): number {
    const family = this.#family === linux.AF_INET ? IPV4 : IPV6;
    let end = CONTROL / 4;
    if (tos !== 0) {
      words[writeCmsg(words, end, family.level, family.tos, 4)] = tos;
      end += cmsgWords(4);
    }
    if (segment !== 0) {
      words[writeCmsg(words, end, linux.IPPROTO_UDP, linux.UDP_SEGMENT, 2)] = segment;
      end += cmsgWords(2);
    }
    return end * 4 - CONTROL;
  }

  #withAddress(call: typeof libc.bind, address: Address): number {
    const bytes = encodeSockAddr(address);
    scratch.bytes.set(bytes, ADDRESS);
    return call(this.fd, scratch.address + ADDRESS, bytes.length);
  }
}

export function udpSocket(cleanup: Cleanup, family: number = linux.AF_INET): UdpSocket {
  const type = linux.SOCK_DGRAM | linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC;
  return new UdpSocket(cleanup, new Fd(must(libc.socket(family, type, 0), 'socket')), family);
}

function pointer(offset: number, address: number): void {
  scratch.view.setBigUint64(offset, BigInt(address), true);
}
