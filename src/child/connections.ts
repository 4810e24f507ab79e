/** All ports of a protocol that has connections: their listeners, their flows and what these share. */

import type { ShedReason } from '../msg/overload.js';
import type { TransportStats } from '../msg/stats.js';
import type { Fd } from '../msg/fd.js';
import { Deadlines } from './deadlines.js';
import { Flow } from './flow.js';
import type { Tally } from './counters.js';
import type { ForwardedPort, Forwarder, PublishedPort } from './forwarder.js';
import { Listener } from './listener.js';
import { exhaustedBy, type Overload } from './overload.js';
import type { Pump } from './pump.js';
import type { Reactor } from './reactor.js';
import type { Refusals } from './refusals.js';
import { resetNow } from './sockets.js';
import type { SourceAddresses, SourceWatchers } from './source.js';

/**
 * A server in this kernel has answered by then, unless its backlog is full or a firewall drops the
 * client. The flow goes on waiting, up to the kernel's own limit, while the reason is looked for.
 */
const SILENCE_MS = 1000;
const RESET_POLL_MS = 5;
const ACCEPT_PAUSE_MS = 100;

/** What all protocols report to. */
export interface Watchers extends SourceWatchers {
  readonly overload: Overload;
  readonly refusals: Refusals;
}

export interface ListeningPort extends PublishedPort {
  readonly listeners: readonly Listener[];
}

export abstract class Connections implements Forwarder {
  readonly reactor: Reactor;
  readonly connecting = new Deadlines<Flow>(SILENCE_MS, (flow) => flow.onDeadline());
  readonly resetting = new Deadlines<Flow>(RESET_POLL_MS, (flow) => flow.onDeadline());
  readonly paused = new Deadlines<Listener>(ACCEPT_PAUSE_MS, (listener) => listener.resume());
  readonly sources: SourceAddresses;
  readonly counters = { accepted: 0, refused: 0, shed: 0 };
  /** Messages that were not delivered, by reason. */
  readonly drops: Record<string, number> = {};
  readonly #watchers: Watchers;
  readonly #flows = new Set<Flow>();

  constructor(reactor: Reactor, sources: SourceAddresses, watchers: Watchers) {
    this.#watchers = watchers;
    this.reactor = reactor;
    this.sources = sources;
    for (const clock of [this.connecting, this.resetting, this.paused]) reactor.addClock(clock);
  }

  /** For one direction of a flow of that port; what it delivers is added to `tally`. */
  abstract newPump(port: PublishedPort, tally: Tally): Pump;

  /**
   * A new socket that connects to `server`, from the address `source` if there is one, for the
   * client that was accepted as `clientFd`; or the negative errno.
   */
  abstract connectTo(server: Uint8Array, source: Uint8Array | undefined, clientFd: number): number;

  /** Not 0 while the peer hasn't acknowledged all that was sent to it. */
  abstract unacknowledged(fd: number): number;

  stats(): TransportStats {
    return {
      flows: this.#flows.size,
      ...this.counters,
      sourceKept: this.sources.kept,
      sourceLost: this.sources.lost,
      sourceRefused: this.sources.refused,
      drops: this.drops,
    };
  }

  addPort(published: PublishedPort, sockets: readonly Fd[]): ForwardedPort {
    const listeners = sockets.map((socket) => new Listener(this, socket));
    const close = () => {
      for (const listener of listeners) listener.close();
    };
    try {
      const port = { ...published, listeners };
      for (const listener of listeners) listener.start(port);
    } catch (error) {
      close();
      throw error;
    }
    const abandon = () => {
      const flows = [...this.connecting.all].filter(({ portId }) => portId === published.id);
      for (const flow of flows) flow.abort();
    };
    return { close, abandon, queueDrops: 0 };
  }

  flowsOf(id: number): readonly Flow[] {
    return [...this.#flows].filter(({ portId }) => portId === id);
  }

  accepted(port: ListeningPort, fd: number, address: Uint8Array): void {
    const reason = this.#watchers.overload.admit(port.counters);
    if (reason !== undefined) return this.shed(port, fd, reason);
    this.counters.accepted++;
    port.counters.accepted++;
    const flow = new Flow(this, port, fd, address);
    this.#flows.add(flow);
    flow.connect();
  }

  forget(flow: Flow, port: ListeningPort): void {
    if (this.#flows.delete(flow)) this.#watchers.overload.left(port.counters);
  }

  /** No server took a flow of that client, a sockaddr. */
  refused(port: ListeningPort, client: Uint8Array): void {
    this.counters.refused++;
    port.counters.refused++;
    this.#watchers.refusals.add(port.id, client);
  }

  /** Resets a client that was accepted only to hear that. */
  shed(port: ListeningPort, fd: number, reason: ShedReason): void {
    this.#count(port, reason);
    resetNow(fd);
  }

  /** Clients wait, and can't even be reset: others take whatever the reserve gives back. */
  stuck(): void {
    this.#watchers.overload.shed('backlog');
  }

  /** A flow of this port found no fd or memory: let those that are open end before taking more. */
  overloaded(port: ListeningPort, error: number): void {
    this.#count(port, exhaustedBy(error) ?? 'memory');
    for (const listener of port.listeners) listener.pause();
  }

  #count(port: ListeningPort, reason: ShedReason): void {
    this.counters.shed++;
    port.counters.shed++;
    this.#watchers.overload.shed(reason);
  }
}
