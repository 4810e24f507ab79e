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
import type { AgentStats } from '../msg/stats.js';
import { DEFAULT_UDP_TIMEOUTS, type UdpTimeouts } from '../msg/udp-timeouts.js';
import { AgentProcess } from './agent.js';
import { DnatResolver } from './dnat/resolver.js';
import { Poller } from './poller.js';
import { PortTable } from './ports.js';
import { Protos } from './protos.js';
import { resolveDial } from './resolve.js';
import { setUpSourceAddressing, type SourceAddressing } from './source-address/set-up.js';
import { NOT_SET_UP, sourceIPInfo, SWITCHED_OFF } from './source-ip-info.js';
import { warn } from './warn.js';

const PROTOS: readonly Proto[] = [
  ...(['tcp', 'tcp4', 'tcp6', 'udp', 'udp4', 'udp6'] as const),
  ...(['sctp', 'sctp4', 'sctp6'] as const),
];
/** The tap has one address, and it is an IPv4 one. */
const TAP_PROTOS = PROTOS.filter((proto) => !proto.endsWith('6'));

/** An agent that lived shorter has met something that the next one would meet as well. */
const MIN_AGENT_LIFE_MS = 1000;

/** What the agents of one run of the driver have in common. */
interface Run {
  readonly child: ChildContext;
  readonly poller: Poller;
  readonly resolver: DnatResolver;
  /** From now on no agent is replaced. */
  isOver: boolean;
}

export interface DriverOptions {
  /** Servers see the client's own address where that can work. Default: true. */
  readonly sourceIPTransparent?: boolean;
  /** Which ChildHostIP engines are told to use. Default: loopback. */
  readonly childHostIP?: 'loopback' | 'tap';
  /** Of UDP sessions. Default: 30 s until the first answer, then 180 s. */
  readonly udpTimeouts?: Partial<UdpTimeouts>;
  /** The most flows at a time, of all ports together and of each; 1 or more. Default: no limit. */
  readonly maxFlows?: number;
  readonly maxFlowsPerPort?: number;
}

export class Driver implements ParentDriver {
  readonly #options: DriverOptions;
  readonly #protos: Protos;
  readonly #table: PortTable;
  /** The agent that serves now, or will once it has every port. */
  #agent: Promise<AgentProcess> = Promise.reject(
    new SluiceError('ERR_DRIVER_STATE', 'the port driver is not running'),
  );
  #sources: Promise<SourceAddressing> = Promise.resolve(NOT_SET_UP);
  #giveUp: (reason: Error) => void = () => {};

  constructor(options: DriverOptions = {}) {
    this.#options = options;
    this.#agent.catch(() => {});
    this.#protos = new Protos(options.childHostIP === 'tap' ? TAP_PROTOS : PROTOS);
    this.#table = new PortTable(this.#protos, {
      addPort: (port, sockets) => this.#ask((agent) => agent.addPort(port, sockets)),
      removePort: (id) => this.#ask((agent) => agent.removePort(id)),
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
    return {
      driver: 'sluice',
      protos: this.#protos.list,
      disallowLoopbackChildIP: this.#options.childHostIP === 'tap',
      sourceIP: sourceIPInfo(this.#protos.list, await this.#sources, await this.#statsNow()),
    };
  }

  /** Counters of the agent since it started. */
  async stats(): Promise<AgentStats> {
    return (await this.#agent).stats();
  }

  /** Undefined when there is no agent any more. */
  #statsNow(): Promise<AgentStats | undefined> {
    return this.stats().catch(() => undefined);
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
    const run = this.#newRun(cctx);
    const failed = new Promise<never>((_, reject) => {
      this.#giveUp = reject;
    });
    this.#sources =
      this.#options.sourceIPTransparent === false
        ? Promise.resolve(SWITCHED_OFF)
        : setUpSourceAddressing(cctx, undefined, this.#udpTimeouts);
    this.#agent = this.#start(run);
    try {
      await this.#agent;
      initComplete();
      await Promise.race([failed, aborted(quit)]);
    } finally {
      run.isOver = true;
      this.#table.close();
      const agent = await this.#agent.catch(() => undefined);
      await agent?.close();
      await (await this.#sources).undo();
      await run.poller.close();
    }
  }

  get #udpTimeouts(): UdpTimeouts {
    return { ...DEFAULT_UDP_TIMEOUTS, ...this.#options.udpTimeouts };
  }

  #newRun(child: ChildContext): Run {
    const resolver = new DnatResolver(child, { onProblem: ({ message }) => warn(message) });
    return { child, poller: new Poller(), resolver, isOver: false };
  }

  /** Resolves with an agent that has every port; no process is left when it rejects. */
  async #start(run: Run): Promise<AgentProcess> {
    const bearsClients = this.#options.sourceIPTransparent !== false;
    const agent = await AgentProcess.start(
      { child: run.child, bearsClients },
      run.poller,
      (id, agentPid) => resolveDial(this.#table.specOf(id), agentPid, run.resolver),
    );
    const startedAt = performance.now();
    this.#protos.agents = agent.transports;
    try {
      await agent.setUdpTimeouts(this.#udpTimeouts);
      const { maxFlows = 0, maxFlowsPerPort = 0 } = this.#options;
      await agent.setLimits({ maxFlows, maxFlowsPerPort });
      await agent.setSourceFamilies(await this.#sources);
      await this.#table.handOver(agent);
    } catch (error) {
      await agent.close();
      throw error;
    }
    void agent.ended.then((reason) => {
      if (run.isOver) return;
      this.#agent = this.#replace(reason, performance.now() - startedAt, run);
      this.#agent.catch((error: Error) => this.#giveUp(error));
    });
    return agent;
  }

  async #replace(reason: SluiceError, lifeMs: number, run: Run): Promise<AgentProcess> {
    warn(`${reason.message}; starting another`);
    if (lifeMs < MIN_AGENT_LIFE_MS) {
      throw new SluiceError('ERR_AGENT', `agents don't stay up: ${messageOf(reason)}`);
    }
    return this.#start(run);
  }

  /** Asks the agent; should it end meanwhile, its successor is asked. */
  async #ask(request: (agent: AgentProcess) => Promise<void>): Promise<void> {
    const agent = await this.#agent;
    try {
      await request(agent);
    } catch (error) {
      if (!agent.isGone) throw error;
      await agent.ended;
      await request(await this.#agent);
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
