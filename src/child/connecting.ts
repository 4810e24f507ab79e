/**
 * A flow that is not open yet: the connection to its server.
 *
 *   held ─► connecting ─► open      held: the port's targets are being asked for
 *               │  ▲
 *               ▼  │ next server, or without the client's address
 *             asking ───► refused   asking: is the container there?
 *
 * A connection without an answer waits for as long as the kernel does: a full backlog is silent, and
 * so is a firewall. After SILENCE_MS its client is watched, so that one that leaves is noticed, and
 * it is asked whether replies can come back at all.
 */

import * as linux from '../msg/linux.js';
import type { Dialling, DiallingFlow } from './dialling.js';
import { WRITE_EVENTS } from './side.js';
import { connectError } from './sockets.js';

/** A second each: then the server counts as one that has refused. */
const MOST_LOOKS = 5;

/** What a connection needs of its flow. */
export interface ConnectingFlow extends DiallingFlow {
  /** Has the socket watched, and calls `onSilent` in SILENCE_MS. Returns 0 or the negative errno. */
  watchServer(fd: number): number;
  /** Calls `onSilent` in SILENCE_MS. */
  wait(): void;
  /** Closes the socket to the server. */
  hangUp(): void;
  /** Returns 0 or the negative errno. */
  watchClient(): number;
  /** The server has accepted, and perhaps reset the connection already. */
  onOpen(wasReset: boolean): void;
  onRefused(): void;
  /** Out of fds or memory, as this negative errno says. */
  onExhausted(error: number): void;
}

export class Connecting {
  readonly dialling: Dialling;
  readonly #flow: ConnectingFlow;
  /** An answer that comes meanwhile is known already. */
  #isAttempting = false;
  /** How often it was looked for an answer since it was asked for; undefined when it was not. */
  #askedFor: number | undefined;

  constructor(flow: ConnectingFlow, dialling: Dialling) {
    this.#flow = flow;
    this.dialling = dialling;
  }

  /** Dials the port's addresses in turn, as soon as they are known. */
  start(): void {
    if (this.dialling.isReady(this.#flow)) this.#attempt();
  }

  onServerEvents(fd: number, events: number): void {
    if ((events & WRITE_EVENTS) === 0) return;
    const failed = (events & (linux.EPOLLERR | linux.EPOLLHUP)) !== 0;
    const error = failed ? connectError(fd) : 0;
    // A refused connect is ECONNREFUSED: these come after the server had accepted, and perhaps spoken.
    const wasReset = error === linux.ECONNRESET || error === linux.EPIPE;
    if (error !== 0 && !wasReset) return this.#onFailed(error);
    this.dialling.onConnected();
    this.dialling.onAnswered();
    this.#flow.onOpen(wasReset);
  }

  /** There is no answer for a while. */
  onSilent(): void {
    const watched = this.#flow.watchClient();
    if (watched < 0) return this.#flow.onExhausted(watched);
    if (this.#askedFor !== undefined) {
      this.#askedFor++;
      return this.#askedFor > MOST_LOOKS ? this.#flow.onRefused() : this.#flow.wait();
    }
    if (this.dialling.isHopeless()) return this.#attemptAgain();
    if (this.dialling.bearsClient) this.dialling.ask(this.#flow);
    this.#flow.wait();
  }

  /** More is known of whether replies come back, or whether the container is there. */
  onReturnPath(): void {
    if (this.#isAttempting) return;
    if (this.#askedFor === undefined) {
      if (this.dialling.isHopeless()) this.#attemptAgain();
      return;
    }
    this.#askedFor = undefined;
    if (this.dialling.isGone()) this.#attempt();
    else this.#flow.onRefused();
  }

  #attempt(): void {
    this.#isAttempting = true;
    const fd = this.dialling.next();
    this.#isAttempting = false;
    if (fd === undefined) return this.#flow.onRefused();
    const watched = fd < 0 ? fd : this.#flow.watchServer(fd);
    if (watched < 0) this.#flow.onExhausted(watched);
  }

  #attemptAgain(): void {
    this.#flow.hangUp();
    this.#attempt();
  }

  #onFailed(error: number): void {
    this.#flow.hangUp();
    const next = this.dialling.onFailed(error);
    switch (next) {
      case 'next':
        return this.#attempt();
      case 'reset':
        return this.#flow.onRefused();
      case 'ask':
        if (!this.dialling.askNow(this.#flow)) return this.#flow.onRefused();
        this.#askedFor = 0;
        return this.#flow.wait();
      default:
        next satisfies never;
    }
  }
}
