/** Who forwards the ports of a table, and whether their addresses are free again. */
import { EventEmitter, once } from 'node:events';
import { createServer } from 'node:net';
import type { AgentPort, Resolution } from '../../../src/msg/agent-port.js';
import { SluiceError } from '../../../src/msg/errors.js';
import type { Spec } from '../../../src/msg/port.js';
import type { PortServer, PortServers } from '../../../src/parent/ports.js';

/** Forwards nothing: remembers what it was asked, and answers when it is told to. */
export class Server implements PortServer {
  readonly ports = new Map<number, AgentPort>();
  readonly asked: string[] = [];
  readonly known = new Map<number, Resolution>();
  failure: Error | undefined;
  readonly #given = new Set<number>();
  #gate: Promise<void> = Promise.resolve();

  /** Holds every answer back until the result is called. */
  hold(): () => void {
    const { promise, resolve } = withResolvers();
    this.#gate = promise;
    return resolve;
  }

  async addPort(port: AgentPort, sockets: readonly number[], known?: Resolution): Promise<void> {
    this.asked.push(`add ${port.id} with ${sockets.length}`);
    if (known !== undefined) this.known.set(port.id, known);
    this.#given.add(port.id);
    await this.#answer().catch((error: unknown) => {
      this.#given.delete(port.id);
      throw error;
    });
    this.ports.set(port.id, port);
  }

  has(id: number): boolean {
    return this.#given.has(id);
  }

  async removePort(id: number): Promise<void> {
    this.asked.push(`remove ${id}`);
    this.#given.delete(id);
    await this.#answer();
    if (!this.ports.delete(id)) throw new SluiceError('ERR_PORT_ID', `there is no port ${id}`);
  }

  async #answer(): Promise<void> {
    await this.#gate;
    if (this.failure !== undefined) throw this.failure;
  }
}

/** Each in the slot of its place. */
export function serversOf(...servers: Server[]): PortServers {
  return {
    count: servers.length,
    async ask(request, slot) {
      const asked = slot === undefined ? servers : servers.slice(slot, slot + 1);
      const answers = await Promise.allSettled(asked.map(request));
      for (const answer of answers) if (answer.status === 'rejected') throw answer.reason;
    },
    now: () => servers,
  };
}

/** Rejects when the address is taken. */
export async function bindAndClose({ parentIP, parentPort }: Spec): Promise<void> {
  const probe = createServer().listen(parentPort, parentIP);
  await once(probe, 'listening');
  probe.close();
  await once(probe, 'close');
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  const settled = new EventEmitter();
  const promise = once(settled, 'settled').then(() => {});
  return { promise, resolve: () => settled.emit('settled') };
}
