/** All TCP ports of the agent: their listeners, their flows and what these share. */

import { SluiceError } from '../../msg/errors.js';
import type { AgentPort, AgentStats, Resolution } from '../../msg/protocol.js';
import { encodeSockAddr } from '../../msg/sockaddr.js';
import type { Fd } from '../../msg/fd.js';
import { Deadlines } from '../deadlines.js';
import { PipePool } from '../pipes.js';
import type { Reactor } from '../reactor.js';
import { SlabPool } from '../slabs.js';
import { SourceAddresses } from '../source.js';
import { HOLD_MS, Targets } from '../targets.js';
import { Flow } from './flow.js';
import { Listener } from './listener.js';
import type { Buffers } from './pump.js';

/** The server is in this kernel: it answers at once or not at all. */
const CONNECT_TIMEOUT_MS = 10_000;
/** Shorter: without an answer the flow is dialled once more, without the client's address. */
const CONNECT_AS_CLIENT_TIMEOUT_MS = 3000;
const RESET_POLL_MS = 5;
const ACCEPT_PAUSE_MS = 100;

export interface TcpPort {
  readonly id: number;
  readonly targets: Targets;
  readonly listeners: readonly Listener[];
}

export class TcpForwarder {
  readonly reactor: Reactor;
  readonly buffers: Buffers = { slabs: new SlabPool(), pipes: new PipePool() };
  readonly connecting = new Deadlines<Flow>(CONNECT_TIMEOUT_MS, (flow) => flow.onDeadline());
  readonly connectingAsClient = new Deadlines<Flow>(CONNECT_AS_CLIENT_TIMEOUT_MS, (flow) =>
    flow.onDeadline(),
  );
  readonly resetting = new Deadlines<Flow>(RESET_POLL_MS, (flow) => flow.onDeadline());
  readonly paused = new Deadlines<Listener>(ACCEPT_PAUSE_MS, (listener) => listener.resume());
  readonly holding = new Deadlines<Targets>(HOLD_MS, (targets) => targets.release());
  readonly sources = new SourceAddresses();
  readonly counters = { accepted: 0, refused: 0, shed: 0 };
  readonly #ports = new Map<number, TcpPort>();
  readonly #flows = new Set<Flow>();

  readonly #resolve: (id: number) => void;

  /** `resolve` asks the parent for a port's targets; `answered` takes what comes back. */
  constructor(reactor: Reactor, resolve: (id: number) => void) {
    this.reactor = reactor;
    this.#resolve = resolve;
    const { connecting, connectingAsClient, resetting, paused, holding } = this;
    for (const clock of [connecting, connectingAsClient, resetting, paused, holding]) {
      reactor.addClock(clock);
    }
  }

  stats(): AgentStats {
    const { accepted, refused, shed } = this.counters;
    const ports = this.#ports.size;
    return {
      ports,
      flows: this.#flows.size,
      accepted,
      refused,
      shed,
      pipes: this.buffers.pipes.size,
      sourceKept: this.sources.kept,
      sourceLost: this.sources.lost,
    };
  }

  /** Owns the listening sockets from now on, and accepts. Throws when the id or a socket won't do. */
  addPort({ id, dial, mayHaveRule }: AgentPort, sockets: readonly Fd[]): void {
    const listeners = sockets.map((socket) => new Listener(this, socket));
    const own = dial.map((address) => encodeSockAddr(address));
    const targets = new Targets(own, mayHaveRule, () => this.#resolve(id), this.holding);
    const port = { id, targets, listeners };
    try {
      if (this.#ports.has(id)) throw new SluiceError('ERR_PORT_ID', `port ${id} exists already`);
      for (const listener of listeners) listener.start(port);
    } catch (error) {
      for (const listener of listeners) listener.close();
      throw error;
    }
    this.#ports.set(id, port);
  }

  /** Stops accepting and closes the listeners; established flows go on. Throws for an unknown id. */
  removePort(id: number): void {
    const port = this.#ports.get(id);
    if (port === undefined) throw new SluiceError('ERR_PORT_ID', `there is no port ${id}`);
    this.#ports.delete(id);
    for (const listener of port.listeners) listener.close();
  }

  /** The parent's answer to `resolve`; the port may be gone by now. */
  answered(id: number, resolution: Resolution): void {
    this.#ports.get(id)?.targets.answered(resolution);
  }

  accepted(port: TcpPort, fd: number, address: Uint8Array): void {
    this.counters.accepted++;
    const flow = new Flow(this, port, fd, address);
    this.#flows.add(flow);
    flow.connect();
  }

  forget(flow: Flow): void {
    this.#flows.delete(flow);
  }

  /** A flow of this port found no fd or memory: let those that are open end before taking more. */
  overloaded(port: TcpPort): void {
    this.counters.shed++;
    for (const listener of port.listeners) listener.pause();
  }
}
