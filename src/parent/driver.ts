/**
 * The ParentDriver: a port table and the agent that serves it.
 *
 * An agent that ends unasked is replaced and gets every host socket again; the parent holds them
 * all the time, so clients wait in the backlog meanwhile and no port refuses.
 */

import { messageOf, SluiceError } from '../msg/errors.js';
import type {
  ChildContext,
  ParentDriver,
  PortDriverInfo,
  Proto,
  Spec,
  Status,
} from '../msg/port.js';
import type { AgentStats } from '../msg/protocol.js';
import { AgentProcess } from './agent.js';
import { Poller } from './poller.js';
import { PortTable } from './ports.js';

const PROTOS: readonly Proto[] = ['tcp', 'tcp4', 'tcp6'];

/** An agent that lived shorter has met something that the next one would meet as well. */
const MIN_AGENT_LIFE_MS = 1000;

export class Driver implements ParentDriver {
  readonly #poller = new Poller();
  readonly #table: PortTable;
  #context: ChildContext | undefined;
  /** The agent that serves now, or will once it has every port. */
  #agent: Promise<AgentProcess> = Promise.reject(
    new SluiceError('ERR_DRIVER_STATE', 'the port driver is not running'),
  );
  #giveUp: (reason: Error) => void = () => {};

  constructor() {
    this.#agent.catch(() => {});
    this.#table = new PortTable(PROTOS, {
      addPort: (port, sockets) => this.#ask((agent) => agent.addPort(port, sockets), 'again'),
      // An agent that is gone has closed its listeners; the next one isn't given this port.
      removePort: (id) => this.#ask((agent) => agent.removePort(id), 'done'),
    });
  }

  addPort(spec: Spec): Promise<Status> {
    return this.#table.addPort(spec);
  }

  /** Adds a port that has its id already, from another driver or an earlier run. */
  adoptPort(status: Status): Promise<Status> {
    return this.#table.adoptPort(status);
  }

  listPorts(): Promise<Status[]> {
    return this.#table.listPorts();
  }

  removePort(id: number): Promise<void> {
    return this.#table.removePort(id);
  }

  async info(): Promise<PortDriverInfo> {
    return { driver: 'sluice', protos: PROTOS, disallowLoopbackChildIP: false };
  }

  /** Counters of the agent since it started. */
  async stats(): Promise<AgentStats> {
    return (await this.#agent).stats();
  }

  /** The number under which the agent finds its end of the socketpair. */
  opaqueForChild(): Readonly<Record<string, string>> {
    return { fd: '3' };
  }

  /** Rejects when no agent can be kept running. */
  async runParentDriver(
    initComplete: () => void,
    quit: AbortSignal,
    cctx: ChildContext,
  ): Promise<void> {
    this.#context = cctx;
    const failed = new Promise<never>((_, reject) => {
      this.#giveUp = reject;
    });
    this.#agent = this.#start(quit);
    const agent = await this.#agent;
    try {
      initComplete();
      await Promise.race([failed, aborted(quit)]);
    } finally {
      this.#table.close();
      await (await this.#agent.catch(() => agent)).close();
    }
  }

  async #start(quit: AbortSignal): Promise<AgentProcess> {
    const agent = await AgentProcess.start(this.#context as ChildContext, this.#poller);
    const startedAt = performance.now();
    void agent.ended.then((reason) => {
      if (quit.aborted) return;
      this.#agent = this.#replace(reason, performance.now() - startedAt, quit);
      this.#agent.catch((error: Error) => this.#giveUp(error));
    });
    await this.#table.handOver(agent);
    return agent;
  }

  async #replace(reason: SluiceError, lifeMs: number, quit: AbortSignal): Promise<AgentProcess> {
    process.stderr.write(`sluice: ${reason.message}; starting another\n`);
    if (lifeMs < MIN_AGENT_LIFE_MS) {
      throw new SluiceError('ERR_AGENT', `agents don't stay up: ${messageOf(reason)}`);
    }
    return this.#start(quit);
  }

  /** Asks the agent; should it end meanwhile, its successor is asked, or all is done. */
  async #ask(
    request: (agent: AgentProcess) => Promise<void>,
    whenGone: 'again' | 'done',
  ): Promise<void> {
    const agent = await this.#agent;
    try {
      await request(agent);
    } catch (error) {
      if (!agent.isGone) throw error;
      await agent.ended;
      if (whenGone === 'again') await request(await this.#agent);
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
