/**
 * Ports whose held datagrams can leave. They leave at the end of the reactor's turn: they go through
 * the inbox, and targets may become known in the midst of a batch that is being read from there (a
 * question to the parent fails, and with it those of all ports).
 */

import type { Clock } from '../reactor.js';

export interface Releasing {
  release(): void;
}

export class Releases implements Clock {
  readonly #due = new Set<Releasing>();

  add(port: Releasing): void {
    this.#due.add(port);
  }

  nextMs(): number {
    return this.#due.size > 0 ? 0 : -1;
  }

  expire(): void {
    for (const port of this.#due) {
      this.#due.delete(port);
      port.release();
    }
  }
}
