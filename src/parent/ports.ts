/**
 * The port table: RootlessKit's Manager. It owns the host sockets of every port and keeps them
 * after the agent has got its duplicates, so that another agent can be given them as well.
 *
 * A port passes through `opening ─► open ─► closing`; in each of these its addresses are taken, so
 * that two calls at the same time can't both succeed for one address.
 */

import { messageOf, SluiceError } from '../msg/errors.js';
import type { Fd } from '../msg/fd.js';
import * as libc from '../msg/libc.js';
import * as linux from '../msg/linux.js';
import { type Manager, type Spec, type Status, transportOf } from '../msg/port.js';
import type { AgentPort, Resolution } from '../msg/agent-port.js';
import { validateSpec } from '../msg/spec.js';
import type { PortBack } from './agent-channel.js';
import { dialAddresses, isLoopback } from './dial.js';
import { listenAll } from './listen.js';
import type { Protos } from './protos.js';
import { TakenAddresses } from './taken-addresses.js';

/** One of those that forward the ports. */
export interface PortServer {
  /** It has the port, or was given it a moment ago. */
  has(id: number): boolean;
  /** `known` is where its flows went under another agent. */
  addPort(port: AgentPort, sockets: readonly number[], known?: Resolution): Promise<void>;
  removePort(id: number): Promise<void>;
}

/** Keeps ports beyond the end of this process. */
export interface PortKeeper {
  /** When it returns, a later driver knows of the port. The sockets stay the caller's. */
  added(port: Status, sockets: readonly number[]): void;
  /**
   * No later driver brings the port back, from the call on. Resolves once its sockets are kept no
   * more.
   */
  removed(id: number): Promise<void>;
}

/** A port with the numbers of its sockets, which are the table's. */
export interface LeftPort extends Status {
  readonly fds: readonly number[];
}

/** All who forward the ports, each in a slot of its own: 0 and following. */
export interface PortServers {
  readonly count: number;
  /** Asks all of them, or the one of a slot, and settles when everybody has answered. */
  ask(request: (server: PortServer) => Promise<void>, slot?: number): Promise<void>;
  /** Those that have ports at present, or are being given them. */
  now(): readonly PortServer[];
}

interface Port {
  readonly status: Status;
  sockets: readonly Fd[];
  /**
   * Who has it; undefined: all have. Sessions of UDP are found in the agent that began them, and
   * datagrams come to whoever looks first.
   */
  readonly slot: number | undefined;
  /** As it was found last. */
  resolution?: Resolution;
  state: 'opening' | 'open' | 'closing';
}

const NOBODY: PortKeeper = { added: () => {}, removed: async () => {} };

export class PortTable implements Manager {
  readonly #protos: Protos;
  readonly #servers: PortServers;
  readonly #keeper: PortKeeper;
  readonly #ports = new Map<number, Port>();
  readonly #taken = new TakenAddresses();
  #lastId = 0;

  constructor(protos: Protos, servers: PortServers, keeper = NOBODY) {
    this.#protos = protos;
    this.#servers = servers;
    this.#keeper = keeper;
  }

  /** The highest id ever given. */
  get lastId(): number {
    return this.#lastId;
  }

  /** Ids continue above this one. */
  continueAfter(id: number): void {
    this.#lastId = Math.max(this.#lastId, id);
  }

  async addPort(spec: Spec): Promise<Status> {
    return this.#open(this.#lastId + 1, spec);
  }

  /** Adds a port that has an id already; later ids continue above it. */
  async adoptPort({ id, spec }: Status): Promise<Status> {
    if (this.#ports.has(id)) throw new SluiceError('ERR_PORT_ID', `id ${id} is in use`);
    return this.#open(id, spec);
  }

  /** Adds a port that an agent serves already; owns its sockets from now on. */
  takeBack({ id, spec: text, sockets, slot }: PortBack): void {
    try {
      const spec = validateSpec(JSON.parse(text));
      if (this.#ports.has(id)) throw new SluiceError('ERR_PORT_ID', `id ${id} is in use`);
      const status = { id, spec };
      this.#note({ status, sockets, slot: this.#slotOf(status, slot), state: 'open' });
      this.continueAfter(id);
    } catch (error) {
      for (const socket of sockets) socket.close();
      throw error;
    }
  }

  async listPorts(): Promise<Status[]> {
    return this.list();
  }

  /** In the order of their ids. Ports that are being opened are not listed yet. */
  list(): Status[] {
    const open = [...this.#ports.values()].filter(({ state }) => state !== 'opening');
    return open.map(({ status }) => status).toSorted((a, b) => a.id - b.id);
  }

  /** Ports that a later driver is to have. */
  kept(): LeftPort[] {
    const open = [...this.#ports.values()].filter(({ state }) => state === 'open');
    return open.map(({ status, sockets }) => ({ ...status, fds: numbers(sockets) }));
  }

  /** Undefined for an unknown id. */
  specOf(id: number): Spec | undefined {
    return this.#ports.get(id)?.status.spec;
  }

  /** Notes what is found out about a port, for the next agent. The port may be gone by then. */
  async noted(id: number, finding: Promise<Resolution>): Promise<Resolution> {
    const resolution = await finding;
    const port = this.#ports.get(id);
    if (port !== undefined) port.resolution = resolution;
    return resolution;
  }

  /** Throws ERR_PORT_ID for an id that nobody has, or not any more, or not yet. */
  check(id: number): void {
    this.#portOf(id);
  }

  /** Waits for nobody who doesn't have the port: not for an agent that is still to start. */
  async removePort(id: number): Promise<void> {
    const port = this.#portOf(id);
    port.state = 'closing';
    const kept = this.#keeper.removed(id);
    const having = this.#servers.now().filter((server) => server.has(id));
    const answers = await Promise.allSettled(having.map((server) => server.removePort(id)));
    // Whoever keeps a duplicate for some time yet must not keep clients waiting in its backlog.
    for (const socket of port.sockets) {
      if (socket.isOpen) libc.shutdown(socket.number, linux.SHUT_RDWR);
    }
    await kept;
    this.#forget(port);
    for (const answer of answers) if (answer.status === 'rejected') throw answer.reason;
  }

  /**
   * Every port of a slot that its agent lacks, with the host sockets. Those that are being opened or
   * closed have a request of their own under way. One that the agent can't take must not keep the
   * others from it: its clients wait in the backlog until it is tried again. Returns why, for each
   * of those.
   */
  async handOver(server: PortServer, slot: number): Promise<string[]> {
    const lacking = [...this.#ports.values()].filter(
      (port) =>
        port.state === 'open' &&
        (port.slot === undefined || port.slot === slot) &&
        !server.has(port.status.id),
    );
    const failures = await Promise.all(
      lacking.map(async (port) => {
        const { status, sockets, resolution } = port;
        try {
          await server.addPort(this.#agentPort(status, port.slot), numbers(sockets), resolution);
          return [];
        } catch (error) {
          return [`the agent could not take port ${status.id}: ${messageOf(error)}`];
        }
      }),
    );
    return failures.flat();
  }

  /** Closes all host sockets; the list stays, for who gives the ports to another driver. */
  close(): void {
    for (const { sockets } of this.#ports.values()) sockets.forEach((socket) => socket.close());
  }

  #portOf(id: number): Port {
    const port = this.#ports.get(id);
    if (port?.state === 'open') return port;
    throw new SluiceError('ERR_PORT_ID', `there is no port with ID ${id}; list-ports shows them`);
  }

  async #open(id: number, given: Spec): Promise<Status> {
    const spec = validateSpec(given);
    this.#protos.check(spec.proto);
    this.#taken.check(spec);
    const status = { id, spec };
    const slot = this.#slotOf(status);
    const port: Port = { status, sockets: [], slot, state: 'opening' };
    this.#note(port);
    this.continueAfter(id);
    try {
      port.sockets = await listenAll(spec);
      const handed = [this.#agentPort(status, slot), numbers(port.sockets)] as const;
      await this.#servers.ask((server) => server.addPort(...handed), slot);
      port.state = 'open';
      this.#keeper.added(status, numbers(port.sockets));
      return status;
    } catch (error) {
      // What the others have got already.
      const served = this.#servers.now().filter((server) => server.has(id));
      await Promise.allSettled(served.map((server) => server.removePort(id)));
      this.#forget(port);
      throw error;
    }
  }

  #note(port: Port): void {
    this.#ports.set(port.status.id, port);
    this.#taken.add(port.status);
  }

  #forget({ status, sockets }: Port): void {
    for (const socket of sockets) socket.close();
    this.#ports.delete(status.id);
    this.#taken.remove(status);
  }

  /** `found` is where it is already. */
  #slotOf({ id, spec }: Status, found = id): number | undefined {
    return transportOf(spec.proto) === 'udp' ? found % this.#servers.count : undefined;
  }

  #agentPort({ id, spec }: Status, slot: number | undefined): AgentPort {
    const dial = dialAddresses(spec);
    const mayHaveRule = dial.some(({ ip }) => isLoopback(ip));
    const isEngines = mayHaveRule && (spec.childIP ?? '') !== '';
    const isShared = this.#servers.count > 1 && slot === undefined;
    const { proto } = spec;
    return { id, proto, dial, mayHaveRule, isEngines, isShared, spec: JSON.stringify(spec) };
  }
}

function numbers(sockets: readonly Fd[]): number[] {
  return sockets.map(({ number }) => number);
}
