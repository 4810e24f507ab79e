/**
 * The driver's side of the link to its launcher, which keeps duplicates of all host sockets
 * (held-ports.ts) and asks for the driver's end.
 *
 * What the link can't take now, because the launcher has stopped, is sent later, in its order. A
 * launcher that is gone keeps nothing, and the driver goes on.
 */

import type { Fd } from '../../msg/fd.js';
import * as linux from '../../msg/linux.js';
import type { Status } from '../../msg/port.js';
import { receivedBytes, receiveWithFds, sendWithFds } from '../../msg/scm-rights.js';
import type { Poller } from '../poller.js';
import type { PortKeeper } from '../ports.js';
import type { FromLauncher, ToLauncher } from './held-ports.js';

/** How long a removal waits for a launcher that has stopped. */
const DROP_WAIT_MS = 2000;

interface Unsent {
  readonly message: ToLauncher;
  readonly sockets: readonly number[];
}

export interface LinkCalls {
  /** The launcher wants this driver's end. */
  onEnd(): void;
  /** Tells the launcher, which doesn't watch the link, that there is something on it. */
  ring(): void;
}

export class LauncherLink implements PortKeeper {
  readonly #link: Fd;
  readonly #poller: Poller;
  readonly #calls: LinkCalls;
  /** By port, in the order in which they are to be sent. */
  readonly #unsent = new Map<number, Unsent>();
  readonly #dropping = new Map<number, () => void>();

  constructor(link: Fd, poller: Poller, calls: LinkCalls) {
    this.#link = link;
    this.#poller = poller;
    this.#calls = calls;
    poller.add(link.number, linux.EPOLLIN, () => this.#onEvents());
  }

  added({ id, spec }: Status, sockets: readonly number[]): void {
    this.#tell(id, { message: { hold: id, spec: JSON.stringify(spec) }, sockets });
  }

  removed(id: number): Promise<void> {
    if (!this.#link.isOpen) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#dropped(id), DROP_WAIT_MS);
      this.#dropping.set(id, () => {
        clearTimeout(timer);
        resolve();
      });
      this.#tell(id, { message: { drop: id }, sockets: [] });
    });
  }

  #tell(id: number, unsent: Unsent): void {
    // A port that is gone must not be held later.
    this.#unsent.delete(id);
    this.#unsent.set(id, unsent);
    this.#flush();
  }

  #flush(): void {
    if (!this.#link.isOpen) return;
    const before = this.#unsent.size;
    for (const [id, { message, sockets }] of this.#unsent) {
      const sent = sendWithFds(this.#link.number, Buffer.from(JSON.stringify(message)), sockets);
      if (sent === linux.EPIPE || sent === linux.ECONNRESET) return this.#lost();
      // No other errno goes away by waiting; the launcher is without these sockets then.
      if (sent === linux.EAGAIN) break;
      this.#unsent.delete(id);
    }
    if (this.#unsent.size < before) this.#calls.ring();
    const isWaiting = this.#unsent.size > 0;
    this.#poller.modify(this.#link.number, linux.EPOLLIN | (isWaiting ? linux.EPOLLOUT : 0));
  }

  #onEvents(): void {
    while (this.#link.isOpen) {
      const count = receiveWithFds(this.#link.number, []);
      if (count === linux.EAGAIN) break;
      if (count <= 0) return this.#lost();
      const message = JSON.parse(receivedBytes(count).toString('utf8')) as FromLauncher;
      if ('end' in message) this.#calls.onEnd();
      else this.#dropped(message.dropped);
    }
    this.#flush();
  }

  #dropped(id: number): void {
    this.#dropping.get(id)?.();
    this.#dropping.delete(id);
  }

  /** The launcher is gone. */
  #lost(): void {
    this.#poller.remove(this.#link.number);
    this.#link.close();
    this.#unsent.clear();
    for (const id of this.#dropping.keys()) this.#dropped(id);
  }
}
