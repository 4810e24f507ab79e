/**
 * ICMP echoes to a target from the child's network namespace: from a foreign address, as the agent
 * connects from clients' addresses, and from an address of the namespace.
 */

import { Fd, must } from '../../msg/fd.js';
import * as libc from '../../msg/libc.js';
import * as linux from '../../msg/linux.js';
import { OUT_MARK } from '../../msg/marks.js';
import { encodeSockAddr } from '../../msg/sockaddr.js';
import { NOBODY } from './routes.js';

const ECHO_BYTES = 16;
const REPLY_BYTES = 256;
const POLLIN = 1;
const POLLFD_BYTES = 8;
const scratch = libc.allocate(4096);

interface Kind {
  readonly family: number;
  readonly protocol: number;
  readonly request: number;
  readonly reply: number;
  readonly nobody: string;
  readonly transparent: readonly [level: number, name: number];
}

const ICMP: Kind = {
  family: linux.AF_INET,
  protocol: linux.IPPROTO_ICMP,
  request: 8,
  reply: 0,
  nobody: NOBODY.ipv4,
  transparent: [linux.IPPROTO_IP, linux.IP_TRANSPARENT],
};
const ICMPV6: Kind = {
  family: linux.AF_INET6,
  protocol: linux.IPPROTO_ICMPV6,
  request: 128,
  reply: 129,
  nobody: NOBODY.ipv6,
  transparent: [linux.IPPROTO_IPV6, linux.IPV6_TRANSPARENT],
};

/** The echoes from one source. The socket is connected: it gets the target's packets alone. */
class Echoes implements Disposable {
  sent = 0;
  isAnswered = false;
  readonly socket: Fd;
  readonly #kind: Kind;

  constructor(kind: Kind, target: string, source?: string) {
    this.#kind = kind;
    const type = linux.SOCK_RAW | linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC;
    this.socket = new Fd(must(libc.socket(kind.family, type, kind.protocol), 'socket(ICMP)'));
    try {
      if (source !== undefined) {
        setOption(this.socket, ...kind.transparent, 1);
        setOption(this.socket, linux.SOL_SOCKET, linux.SO_MARK, OUT_MARK);
        withAddress(libc.bind, this.socket, source);
      }
      withAddress(libc.connect, this.socket, target);
    } catch (error) {
      this.socket.close();
      throw error;
    }
  }

  /** What can't be sent is as good as lost: somebody drops it, or no neighbour answers. */
  send(): void {
    this.sent++;
    const echo = Buffer.alloc(ECHO_BYTES);
    echo[0] = this.#kind.request;
    echo.writeUInt16BE(process.pid & 0xffff, 4);
    echo.writeUInt16BE(this.sent, 6);
    // Of ICMPv6 the kernel fills it in: raw(7), RFC 3542.
    echo.writeUInt16BE(checksum(echo), 2);
    echo.copy(scratch.bytes);
    libc.send(this.socket.number, scratch.address, ECHO_BYTES, linux.MSG_NOSIGNAL);
  }

  receive(): void {
    for (;;) {
      const length = libc.recv(this.socket.number, scratch.address, REPLY_BYTES, 0);
      if (length < 0) return;
      // Raw sockets of IPv4 receive the header, those of IPv6 don't.
      const isIPv4 = this.#kind.family === linux.AF_INET;
      const header = isIPv4 ? 4 * ((scratch.bytes[0] as number) & 0xf) : 0;
      const message = scratch.bytes.subarray(header, length);
      if (message.length < ECHO_BYTES || message[0] !== this.#kind.reply) continue;
      if (message.readUInt16BE(4) === (process.pid & 0xffff)) this.isAnswered = true;
    }
  }

  [Symbol.dispose](): void {
    this.socket.close();
  }
}

export class Canary implements Disposable {
  readonly #foreign: Echoes;
  readonly #own: Echoes;

  /** By default the foreign address is nobody's. */
  constructor(target: string, foreign?: string) {
    const kind = target.includes(':') ? ICMPV6 : ICMP;
    this.#own = new Echoes(kind, target);
    try {
      this.#foreign = new Echoes(kind, target, foreign ?? kind.nobody);
    } catch (error) {
      this.#own[Symbol.dispose]();
      throw error;
    }
  }

  get isForeignAnswered(): boolean {
    return this.#foreign.isAnswered;
  }

  get isOwnAnswered(): boolean {
    return this.#own.isAnswered;
  }

  /** Echoes from both sources. */
  send(times: number): void {
    for (let time = 0; time < times; time++) {
      this.#foreign.send();
      this.#own.send();
    }
  }

  /** Until the foreign ones are answered, or for so long. Blocks: it is all that the program does. */
  wait(ms: number): void {
    const deadline = performance.now() + ms;
    const sockets = [this.#foreign, this.#own];
    while (!this.isForeignAnswered && performance.now() < deadline) {
      for (const [index, { socket }] of sockets.entries()) {
        scratch.view.setInt32(POLLFD_BYTES * index, socket.number, true);
        scratch.view.setInt32(POLLFD_BYTES * index + 4, POLLIN, true);
      }
      libc.poll(scratch.address, sockets.length, Math.ceil(deadline - performance.now()));
      for (const echoes of sockets) echoes.receive();
    }
  }

  [Symbol.dispose](): void {
    this.#foreign[Symbol.dispose]();
    this.#own[Symbol.dispose]();
  }
}

function setOption(socket: Fd, level: number, name: number, value: number): void {
  scratch.view.setInt32(0, value, true);
  must(libc.setsockopt(socket.number, level, name, scratch.address, 4), `setsockopt ${name}`);
}

function withAddress(call: typeof libc.bind, socket: Fd, ip: string): void {
  const bytes = encodeSockAddr({ ip, port: 0 });
  scratch.bytes.set(bytes);
  must(call(socket.number, scratch.address, bytes.length), `${call.name} to ${ip}`);
}

/** RFC 1071. */
function checksum(message: Buffer): number {
  let sum = 0;
  for (let at = 0; at < message.length; at += 2) sum += message.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
