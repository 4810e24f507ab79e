/** All TCP ports of the agent: their listeners, their flows and what these share. */

import type { ShedReason } from '../../msg/overload.js';
import type { TransportStats } from '../../msg/stats.js';
import type { Fd } from '../../msg/fd.js';
import { Deadlines } from '../deadlines.js';
import type { ForwardedPort, Forwarder } from '../forwarder.js';
import { exhaustedBy, type FlowCount, type Overload } from '../overload.js';
import type { PipePool } from '../pipes.js';
import type { Reactor } from '../reactor.js';
import { SlabPool } from '../slabs.js';
import { SourceAddresses } from '../source.js';
import type { Targets } from '../targets.js';
import { Flow } from './flow.js';
import { Listener } from './listener.js';
import type { Buffers } from './pump.js';
import { resetNow } from './sockets.js';

/** The server is in this kernel: it answers at once or not at all. */
const CONNECT_TIMEOUT_MS = 10_000;
/** Shorter: without an answer the flow is dialled once more, without the client's address. */
const CONNECT_AS_CLIENT_TIMEOUT_MS = 3000;
const RESET_POLL_MS = 5;
const ACCEPT_PAUSE_MS = 100;

export interface TcpPort extends FlowCount {
  readonly id: number;
  readonly targets: Targets;
  readonly listeners: readonly Listener[];
}

export class TcpForwarder implements Forwarder {
  readonly reactor: Reactor;
  readonly buffers: Buffers;
  readonly connecting = new Deadlines<Flow>(CONNECT_TIMEOUT_MS, (flow) => flow.onDeadline());
  readonly connectingAsClient = new Deadlines<Flow>(CONNECT_AS_CLIENT_TIMEOUT_MS, (flow) =>
    flow.onDeadline(),
  );
  readonly resetting = new Deadlines<Flow>(RESET_POLL_MS, (flow) => flow.onDeadline());
  readonly paused = new Deadlines<Listener>(ACCEPT_PAUSE_MS, (listener) => listener.resume());
  readonly sources = new SourceAddresses({ reachesLocalServers: true });
  readonly counters = { accepted: 0, refused: 0, shed: 0 };
  readonly #overload: Overload;
  readonly #flows = new Set<Flow>();

  constructor(reactor: Reactor, pipes: PipePool, overload: Overload) {
    this.reactor = reactor;
    this.#overload = overload;
    this.buffers = { reactor, slabs: new SlabPool(), pipes };
    const { connecting, connectingAsClient, resetting, paused } = this;
    for (const clock of [connecting, connectingAsClient, resetting, paused]) {
      reactor.addClock(clock);
    }
  }

  stats(): TransportStats {
    const { kept: sourceKept, lost: sourceLost } = this.sources;
    return { flows: this.#flows.size, ...this.counters, sourceKept, sourceLost, drops: {} };
  }

  addPort(id: number, targets: Targets, sockets: readonly Fd[]): ForwardedPort {
    const listeners = sockets.map((socket) => new Listener(this, socket));
    const close = () => {
      for (const listener of listeners) listener.close();
    };
    try {
      const port = { id, targets, listeners, flows: 0 };
      for (const listener of listeners) listener.start(port);
    } catch (error) {
      close();
      throw error;
    }
    return { close };
  }

  accepted(port: TcpPort, fd: number, address: Uint8Array): void {
    const reason = this.#overload.admit(port);
    if (reason !== undefined) return this.shed(fd, reason);
    this.counters.accepted++;
    const flow = new Flow(this, port, fd, address);
    this.#flows.add(flow);
    flow.connect();
  }

  forget(flow: Flow, port: TcpPort): void {
    if (this.#flows.delete(flow)) this.#overload.left(port);
  }

  /** Resets a client that was accepted only to hear that. */
  shed(fd: number, reason: ShedReason): void {
    this.#count(reason);
    resetNow(fd);
  }

  /** A flow of this port found no fd or memory: let those that are open end before taking more. */
  overloaded(port: TcpPort, error: number): void {
    this.#count(exhaustedBy(error) ?? 'memory');
    for (const listener of port.listeners) listener.pause();
  }
  #count(reason: ShedReason): void {
    this.counters.shed++;
    this.#overload.shed(reason);
  }
}
