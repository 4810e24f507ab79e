/** One direction of payload between two sockets, moved by as much as the kernel takes at a time. */
import { Digester, payload } from './tcp-payload.js';
import type { End, TcpSocket } from './tcp-socket.js';
import { until } from './wait.js';

const DEADLINE_MS = 50_000;

/** No send crosses the border of two blocks. */
export const BLOCK_BYTES = 64 * 1024;

export interface TransferOptions {
  /** Flags for the send of the last bytes of block `block`. */
  readonly flagsOf?: (block: number) => number;
}

export class Transfer {
  readonly sent = new Digester();
  readonly received = new Digester();
  /** How the stream ended, once it has. */
  end: End | undefined;
  readonly #from: TcpSocket;
  readonly #to: TcpSocket;
  readonly #total: number;
  readonly #flagsOf: (block: number) => number;

  constructor(from: TcpSocket, to: TcpSocket, total: number, options: TransferOptions = {}) {
    this.#from = from;
    this.#to = to;
    this.#total = total;
    this.#flagsOf = options.flagsOf ?? (() => 0);
  }

  get isSent(): boolean {
    return this.sent.bytes === this.#total;
  }

  /** Sends until the kernel takes no more. Returns how many bytes it took. */
  write(): number {
    const before = this.sent.bytes;
    while (!this.isSent) {
      const block = Math.floor(this.sent.bytes / BLOCK_BYTES);
      const end = Math.min((block + 1) * BLOCK_BYTES, this.#total);
      const chunk = payload(this.sent.bytes, end - this.sent.bytes);
      const took = this.#from.send(chunk, this.#flagsOf(block));
      if (took < 0) break;
      this.sent.add(chunk.subarray(0, took));
    }
    return this.sent.bytes - before;
  }

  /** Receives once. Returns false when nothing was left. */
  readOnce(most?: number): boolean {
    const chunk = this.end === undefined ? this.#to.receive(most) : undefined;
    if (Buffer.isBuffer(chunk)) this.received.add(chunk);
    else this.end ??= chunk;
    return Buffer.isBuffer(chunk);
  }

  /** Receives until nothing is left, `most` bytes at a time. */
  read(most?: number): void {
    while (this.readOnce(most));
  }

  /** Waits until all that was sent has arrived. */
  async drain(): Promise<void> {
    const isDrained = () => {
      this.read();
      return this.received.bytes >= this.sent.bytes || this.end !== undefined;
    };
    await until(isDrained, DEADLINE_MS, `${this.sent.bytes} bytes`);
  }

  /** Writes and reads until everything has arrived. */
  async complete(): Promise<void> {
    const isWritten = () => {
      this.write();
      this.read();
      return this.isSent || this.end !== undefined;
    };
    await until(isWritten, DEADLINE_MS, `${this.#total} bytes sent`);
    await this.drain();
  }
}
