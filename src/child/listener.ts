/**
 * Accepts the connections of one listening socket.
 *
 * Out of fds, accept fails and leaves the connection in the backlog, where it would wake a
 * level-triggered loop for ever. So one fd is kept in reserve to take it and reset it: the client
 * learns at once, the port never closes, and accepting rests for a moment.
 *
 * Of several agents that wait at one socket the kernel wakes the first in line that sleeps. Whoever
 * has accepted goes to the end of the line: else the first had all that comes slowly.
 */

import { closeSync, openSync } from 'node:fs';
import { SluiceError } from '../msg/errors.js';
import { must, type Fd } from '../msg/fd.js';
import * as linux from '../msg/linux.js';
import type { ShedReason } from '../msg/overload.js';
import type { Expiring } from './deadlines.js';
import type { Handler } from './reactor.js';
import type { Connections, ListeningPort } from './connections.js';
import { exhaustedBy } from './overload.js';
import { acceptedAddress, acceptFrom, isListening } from './sockets.js';

/** Connections taken in one turn, so that a flood leaves time for the flows that exist. */
const ACCEPTS_PER_TURN = 64;

let reserve = -1;

function refillReserve(): void {
  if (reserve >= 0) return;
  try {
    reserve = openSync('/dev/null', 'r');
  } catch {
    // Still out of fds: the next pause tries again.
  }
}

export class Listener implements Handler, Expiring {
  deadline = 0;
  readonly #connections: Connections;
  readonly #socket: Fd;
  #port: ListeningPort | undefined;
  #isWatched = false;

  constructor(connections: Connections, socket: Fd) {
    this.#connections = connections;
    this.#socket = socket;
    refillReserve();
  }

  /** Throws for a socket that isn't listening. */
  start(port: ListeningPort): void {
    if (!isListening(this.#socket.number)) {
      throw new SluiceError(
        'ERR_LISTENER',
        `the socket given for port ${port.id} is not listening`,
      );
    }
    this.#port = port;
    must(this.#watch(), 'epoll_ctl');
  }

  onEvents(): void {
    let count = 0;
    for (; count < ACCEPTS_PER_TURN; count++) {
      const fd = acceptFrom(this.#socket.number);
      if (fd >= 0) {
        this.#connections.accepted(this.#port as ListeningPort, fd, acceptedAddress());
        continue;
      }
      if (fd === linux.EAGAIN) break;
      const reason = exhaustedBy(fd);
      if (reason !== undefined) return this.#shed(reason);
      // Anything else is the end of that one connection before it was taken: accept(2), "Error handling".
    }
    if (count > 0 && this.#isShared && this.#isWatched) this.#goLast();
  }

  /** A flow may outlive its listener and ask for this all the same. */
  pause(): void {
    if (!this.#socket.isOpen) return;
    this.#unwatch();
    this.#connections.paused.set(this);
  }

  resume(): void {
    refillReserve();
    if (this.#watch() < 0) this.#connections.paused.set(this);
  }

  /** At once, not at the end of the turn: whoever asked may bind the address as soon as it hears. */
  close(): void {
    this.#connections.paused.clear(this);
    this.#unwatch();
    this.#socket.close();
  }

  get #isShared(): boolean {
    return this.#port?.counters.isShared === true;
  }

  /** Returns the negative errno when the kernel is out of memory or watches. */
  #watch(): number {
    const events = this.#isShared ? linux.EPOLLIN | linux.EPOLLEXCLUSIVE : linux.EPOLLIN;
    const result = this.#connections.reactor.add(this.#socket.number, events, this);
    this.#isWatched = result === 0;
    return result;
  }

  #unwatch(): void {
    this.#isWatched = false;
    this.#connections.reactor.remove(this.#socket.number);
  }

  #goLast(): void {
    this.#unwatch();
    if (this.#watch() < 0) this.#connections.paused.set(this);
  }

  #shed(reason: ShedReason): void {
    if (!this.#refuse(reason)) this.#connections.stuck();
    this.pause();
  }

  /**
   * Takes a batch out of the backlog, one by one through the reserve, and resets it. False when
   * those that wait stay there.
   */
  #refuse(reason: ShedReason): boolean {
    if (reserve < 0) return false;
    closeSync(reserve);
    reserve = -1;
    let fd = 0;
    let count = 0;
    for (; count < ACCEPTS_PER_TURN; count++) {
      fd = acceptFrom(this.#socket.number);
      if (fd < 0) break;
      this.#connections.shed(this.#port as ListeningPort, fd, reason);
    }
    // At once: another listener or flow might take what this one gave back.
    refillReserve();
    return count > 0 || fd === linux.EAGAIN;
  }
}
