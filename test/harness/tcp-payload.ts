/** Bytes of any amount to send, and what arrives, told apart by their hashes. */
import { type Hash, createCipheriv, createHash } from 'node:crypto';
import { Socket } from 'node:net';
import type { TcpSocket } from './tcp-socket.js';

/** A prime, so that no buffer's size divides it: bytes lost or out of order never look right. */
const PERIOD_BYTES = 1_048_573;
const CHUNK_BYTES = 256 * 1024;

const period = createCipheriv('aes-128-ctr', Buffer.alloc(16, 7), Buffer.alloc(16)).update(
  Buffer.alloc(PERIOD_BYTES),
);
const twice = Buffer.concat([period, period]);

/** The bytes of the endless payload from `offset` on; at most PERIOD_BYTES. */
export function payload(offset: number, bytes: number): Buffer {
  const start = offset % PERIOD_BYTES;
  return twice.subarray(start, start + bytes);
}

export interface Digest {
  readonly bytes: number;
  readonly sha256: string;
}

/** Adds up what passes by. */
export class Digester {
  #bytes = 0;
  readonly #hash: Hash = createHash('sha256');

  get bytes(): number {
    return this.#bytes;
  }

  add(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    this.#hash.update(chunk);
  }

  digest(): Digest {
    return { bytes: this.#bytes, sha256: this.#hash.digest('hex') };
  }
}

/** Node's stream over a socket, which it owns from now on. */
export function streamOf(socket: TcpSocket): Socket {
  return new Socket({ fd: socket.release(), allowHalfOpen: true });
}

/** Writes `total` bytes of the payload from `offset` on, then ends. */
export function send(
  stream: Socket,
  offset: number,
  total: number,
  chunkBytes = CHUNK_BYTES,
): Promise<Digest> {
  const sent = new Digester();
  return new Promise((resolve, reject) => {
    stream.once('error', reject);
    const more = () => {
      while (sent.bytes < total) {
        const chunk = payload(offset + sent.bytes, Math.min(chunkBytes, total - sent.bytes));
        sent.add(chunk);
        if (!stream.write(chunk)) return;
      }
      stream.off('drain', more);
      stream.end(() => resolve(sent.digest()));
    };
    stream.on('drain', more);
    more();
  });
}

/** Reads up to the end of the stream. */
export function receive(stream: Socket): Promise<Digest> {
  const received = new Digester();
  return new Promise((resolve, reject) => {
    stream.once('error', reject);
    stream.on('data', (chunk) => received.add(chunk));
    stream.once('end', () => resolve(received.digest()));
  });
}
