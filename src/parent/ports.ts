/**
 * The port table: RootlessKit's Manager. It owns the host sockets of every port and keeps them
 * after the agent has got its duplicates, so that another agent can be given them as well.
 *
 * A port passes through `opening ─► open ─► closing`; in each of these its addresses are taken, so
 * that two calls at the same time can't both succeed for one address.
 */

import { messageOf, SluiceError } from '../msg/errors.js';
import type { Fd } from '../msg/fd.js';
import { type Manager, type Proto, type Spec, type Status, transportOf } from '../msg/port.js';
import type { AgentPort, Resolution } from '../msg/agent-port.js';
import { validateSpec } from '../msg/spec.js';
import type { PortBack } from './agent-channel.js';
import { dialAddresses, isLoopback } from './dial.js';
import { hostAddresses, listenAll, overlaps, type HostAddress } from './listen.js';
import type { Protos } from './protos.js';

/** Who forwards the ports. */
export interface PortServer {
  /** `known` is where its flows went under another agent. */
  addPort(port: AgentPort, sockets: readonly number[], known?: Resolution): Promise<void>;
  removePort(id: number): Promise<void>;
}

interface Port {
  readonly status: Status;
  readonly addresses: readonly HostAddress[];
  sockets: readonly Fd[];
  /** As it was found last. */
  resolution?: Resolution;
  state: 'opening' | 'open' | 'closing';
}

export class PortTable implements Manager {
  readonly #protos: Protos;
  readonly #server: PortServer;
  readonly #onChanged: () => void;
  readonly #ports = new Map<number, Port>();
  /** Ports that the present agent could not take. */
  readonly #unserved = new Set<number>();
  #lastId = 0;

  /** `onChanged` is called after every change of `listPorts`. It must not throw. */
  constructor(protos: Protos, server: PortServer, onChanged = () => {}) {
    this.#protos = protos;
    this.#server = server;
    this.#onChanged = onChanged;
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
  takeBack({ id, spec: text, sockets }: PortBack): void {
    try {
      const spec = validateSpec(JSON.parse(text));
      if (this.#ports.has(id)) throw new SluiceError('ERR_PORT_ID', `id ${id} is in use`);
      const port = { status: { id, spec }, addresses: hostAddresses(spec), sockets };
      this.#ports.set(id, { ...port, state: 'open' });
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

  async removePort(id: number): Promise<void> {
    const port = this.#portOf(id);
    port.state = 'closing';
    try {
      if (!this.#unserved.has(id)) await this.#server.removePort(id);
    } finally {
      this.#forget(id, port);
      this.#onChanged();
    }
  }

  /**
   * Every port with its host sockets, for an agent that starts from nothing. Those that are being
   * opened or closed have a request of their own under way, which comes after this: the one that
   * closes needs its port to be there. One that the agent can't take must not keep the others from
   * it: its clients wait in the backlog, and it is tried `again`. Returns why, for each of those.
   */
  async handOver(server: PortServer, again = false): Promise<string[]> {
    const given = [...this.#ports.values()].filter(
      ({ state, status }) => state !== 'opening' && (!again || this.#unserved.has(status.id)),
    );
    const failures = await Promise.all(
      given.map(async ({ status, sockets, resolution }) => {
        this.#unserved.delete(status.id);
        try {
          await server.addPort(agentPort(status), numbers(sockets), resolution);
          return [];
        } catch (error) {
          if (this.#ports.has(status.id)) this.#unserved.add(status.id);
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
    const addresses = hostAddresses(spec);
    this.#checkConflict(spec.proto, addresses);
    const port: Port = { status: { id, spec }, addresses, sockets: [], state: 'opening' };
    this.#ports.set(id, port);
    this.continueAfter(id);
    try {
      port.sockets = await listenAll(spec);
      await this.#server.addPort(agentPort(port.status), numbers(port.sockets));
      port.state = 'open';
      this.#onChanged();
      return port.status;
    } catch (error) {
      this.#forget(id, port);
      throw error;
    }
  }

  #checkConflict(proto: Proto, addresses: readonly HostAddress[]): void {
    for (const { status, addresses: taken } of this.#ports.values()) {
      const conflict =
        transportOf(status.spec.proto) === transportOf(proto) &&
        taken.some((one) => addresses.some((other) => overlaps(one, other)));
      if (conflict) throw new SluiceError('ERR_CONFLICT', `conflict with ID ${status.id}`);
    }
  }

  #forget(id: number, port: Port): void {
    for (const socket of port.sockets) socket.close();
    this.#ports.delete(id);
    this.#unserved.delete(id);
  }
}

function agentPort({ id, spec }: Status): AgentPort {
  const dial = dialAddresses(spec);
  const mayHaveRule = dial.some(({ ip }) => isLoopback(ip));
  return { id, proto: spec.proto, dial, mayHaveRule, spec: JSON.stringify(spec) };
}

function numbers(sockets: readonly Fd[]): number[] {
  return sockets.map(({ number }) => number);
}
