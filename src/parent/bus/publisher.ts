/**
 * One topic of the bus: whoever connects to its socket gets every message from then on.
 *
 * Viewers are never listened to: node-ipc would end this process at a message whose type it does
 * not like, and collect a message without an end for ever. One that writes is disconnected.
 *
 * A viewer that does not read costs MAX_QUEUE_BYTES at most. What comes while its queue is full it
 * does not get, but it is told how much that was as soon as it reads again.
 */
import type { Server, Socket } from 'node:net';
import type { BusServer } from 'node-ipc';
import { listenAt, type RemovePath } from '../api/socket.js';
import { createIpc } from './ipc.js';
import { MESSAGE, MISSED } from './messages.js';

const MAX_QUEUE_BYTES = 256 * 1024;
/** How long a viewer that does not read may hold up the end of the driver. */
const CLOSE_GRACE_MS = 200;

export class Publisher {
  readonly #onViewers: (viewers: number) => void;
  /** And how many messages each has missed since it got the last one. */
  readonly #viewers = new Map<Socket, number>();
  #bus: BusServer | undefined;
  #removePath: RemovePath = () => {};

  /** `onViewers` is called with their number whenever it changes. */
  constructor(onViewers: (viewers: number) => void = () => {}) {
    this.#onViewers = onViewers;
  }

  /**
   * Serves on a unix socket at `path`, mode 0600.
   *
   * @throws SluiceError as listenAt
   */
  async listen(path: string): Promise<void> {
    this.#removePath = await listenAt((boundPath) => this.#serve(boundPath), path);
  }

  /** To every viewer, at once or never. */
  publish(message: object): void {
    for (const [socket, missed] of this.#viewers) {
      if (socket.writableLength > MAX_QUEUE_BYTES) {
        this.#viewers.set(socket, missed + 1);
        continue;
      }
      if (missed > 0) this.#bus?.emit(socket, MISSED, { messages: missed });
      this.#viewers.set(socket, 0);
      this.#bus?.emit(socket, MESSAGE, message);
    }
  }

  async close(): Promise<void> {
    this.#removePath();
    this.#bus?.stop();
    // What was published last is still on its way to those who read.
    for (const socket of this.#viewers.keys()) {
      socket.destroySoon();
      setTimeout(() => socket.destroy(), CLOSE_GRACE_MS).unref();
    }
  }

  #serve(path: string): Server {
    const ipc = createIpc();
    ipc.serve(path);
    ipc.server.on('connect', (socket) => this.#joined(socket));
    ipc.server.start();
    this.#bus = ipc.server;
    return ipc.server.server;
  }

  #joined(socket: Socket): void {
    socket.removeAllListeners('data').once('data', () => socket.destroy());
    socket.once('close', () => {
      this.#viewers.delete(socket);
      this.#onViewers(this.#viewers.size);
    });
    this.#viewers.set(socket, 0);
    this.#onViewers(this.#viewers.size);
  }
}
