/**
 * Sees a target's packets to a foreign address, by default that of nobody, as they come in to the child's namespace, before
 * any rule does: packet(7). It tells replies that no rule delivers from replies that never came.
 */

import { Fd, must } from '../../msg/fd.js';
import * as libc from '../../msg/libc.js';
import * as linux from '../../msg/linux.js';
import { parseIP } from '../../msg/sockaddr.js';
import { NOBODY } from './routes.js';

/**
 * linux/if_ether.h, in network order. A socket for one protocol would see the frames of a bridge's
 * ports only behind the bridge, whose rules (br_netfilter) may drop them.
 */
const ETH_P_ALL = 0x0300;
/** Offsets in the IP header, where a packet of SOCK_DGRAM begins. */
const IPV4 = { source: 12, destination: 16, bytes: 4 } as const;
const IPV6 = { source: 8, destination: 24, bytes: 16 } as const;

/** Classic BPF, linux/bpf_common.h: load a word at an offset, go on if it equals, return. */
const LOAD_WORD = 0x20;
const JUMP_EQUAL = 0x15;
const RETURN = 0x06;
const INSTRUCTION_BYTES = 8;
const WORD_BYTES = 4;
const MOST_PACKET_BYTES = 256;

const PROGRAM_OFFSET = 16;
const scratch = libc.allocate(4096);

export class Sniffer implements Disposable {
  readonly #socket: Fd;
  readonly #target: Buffer;
  readonly #source: number;

  constructor(target: string, foreign?: string) {
    const isIPv4 = !target.includes(':');
    const layout = isIPv4 ? IPV4 : IPV6;
    const nobody = isIPv4 ? NOBODY.ipv4 : NOBODY.ipv6;
    this.#target = bytesOf(target);
    this.#source = layout.source;
    const type = linux.SOCK_DGRAM | linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC;
    const number = libc.socket(linux.AF_PACKET, type, ETH_P_ALL);
    this.#socket = new Fd(must(number, 'socket(AF_PACKET)'));
    attachFilter(this.#socket, layout.destination, bytesOf(foreign ?? nobody));
  }

  /** Whether the target has sent one since the socket was opened. */
  hasReply(): boolean {
    for (;;) {
      const length = libc.recv(this.#socket.number, scratch.address, MOST_PACKET_BYTES, 0);
      if (length < 0) return false;
      const { bytes } = scratch;
      const end = this.#source + this.#target.length;
      if (length >= end && bytes.subarray(this.#source, end).equals(this.#target)) return true;
    }
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

/** The kernel passes on packets for `destination` alone, however many others there are. */
function attachFilter(socket: Fd, offset: number, destination: Buffer): void {
  const words = destination.length / WORD_BYTES;
  const instructions: [code: number, ifTrue: number, ifFalse: number, value: number][] = [];
  for (let word = 0; word < words; word++) {
    const left = 2 * (words - word - 1);
    instructions.push(
      [LOAD_WORD, 0, 0, offset + WORD_BYTES * word],
      [JUMP_EQUAL, 0, left + 1, destination.readUInt32BE(WORD_BYTES * word)],
    );
  }
  instructions.push([RETURN, 0, 0, MOST_PACKET_BYTES], [RETURN, 0, 0, 0]);
  const { view, address } = scratch;
  view.setUint16(0, instructions.length, true);
  view.setBigUint64(8, BigInt(address + PROGRAM_OFFSET), true);
  for (const [index, [code, ifTrue, ifFalse, value]] of instructions.entries()) {
    const at = PROGRAM_OFFSET + INSTRUCTION_BYTES * index;
    view.setUint16(at, code, true);
    view.setUint8(at + 2, ifTrue);
    view.setUint8(at + 3, ifFalse);
    view.setUint32(at + 4, value, true);
  }
  const [level, name] = [linux.SOL_SOCKET, linux.SO_ATTACH_FILTER];
  must(libc.setsockopt(socket.number, level, name, address, PROGRAM_OFFSET), 'SO_ATTACH_FILTER');
}

function bytesOf(ip: string): Buffer {
  return Buffer.from(parseIP(ip).toByteArray());
}
