/**
 * The ParentDriver: a port table and the agents that serve it.
 *
 * An agent that ends unasked is replaced and gets every host socket again; the parent holds them
 * all the time, so clients wait in the backlog meanwhile and no port refuses. A parent that ends
 * unasked leaves an agent that holds them as well, and is found by the next one.
 */

import { SluiceError } from '../msg/errors.js';
import { MAX_FLOWS } from '../msg/flows.js';
import {
  type ChildContext,
  type ParentDriver,
  type PortDriverInfo,
  PROTOS,
  type SourceIPInfo,
  type Spec,
  type Status,
  transportOf,
} from '../msg/port.js';
import type { AgentStats } from '../msg/stats.js';
import type { UdpTimeouts } from '../msg/udp-timeouts.js';
import type { AgentOptions, AgentProcess } from './agent.js';
import { agentCount, limitsOf } from './agent-count.js';
import { type AgentPlace, placeIn, type SourceIP, sourceIPOf } from './agent-place.js';
import { opaqueForChild } from './agent-fds.js';
import { Agents } from './agents.js';
import { DnatResolver } from './dnat/resolver.js';
import { watchNetworkHelper } from './network-helper.js';
import { type EventSink, problem } from './events/event.js';
import { Observer } from './observer.js';
import { Poller } from './poller.js';
import { PortTable, type PortServers } from './ports.js';
import { Protos } from './protos.js';
import { resolveDial } from './resolve.js';
import { findReturnPath } from './return-path/return-path.js';
import type { PortFlows, Snapshot } from './snapshot.js';
import { SourceAddresses } from './source-address/source-addresses.js';
import { sourceIPInfo } from './source-ip-info.js';
import { StateFile } from './state.js';
import { added } from './totals.js';
import { aborted } from './aborted.js';

/** The tap has one address, and it is an IPv4 one. */
const TAP_PROTOS = PROTOS.filter((proto) => !proto.endsWith('6'));

/** For the flows of an agent that is replaced on purpose. */
const DRAIN_LIMIT_MS = 3_600_000;

/** What one run of the driver has. */
interface Run {
  readonly place: AgentPlace;
  readonly poller: Poller;
  readonly agents: Agents;
  readonly state: StateFile | undefined;
}

export interface DriverOptions extends Pick<AgentOptions, 'early'> {
  /**
   * Servers see the client's own address: `keep`, wherever that can work; `require`, or the flow is
   * refused; `off`, never. Default: keep.
   */
  readonly sourceIP?: SourceIP;
  /** False is another word for `off`. Default: true. */
  readonly sourceIPTransparent?: boolean;
  /** Which ChildHostIP engines are told to use. Default: loopback. */
  readonly childHostIP?: 'loopback' | 'tap';
  /** Of UDP sessions. Default: 30 s until the first answer, then 180 s. */
  readonly udpTimeouts?: Partial<UdpTimeouts>;
  /** How many agents forward, 1 to 64. Default: one for four cores, 8 at most. */
  readonly agents?: number;
  /** The most flows at a time, of all ports together and of each; 1 or more. Default: no limit. */
  readonly maxFlows?: number;
  readonly maxFlowsPerPort?: number;
  /** Where the ports are noted for a later parent; without it they are not. */
  readonly stateDir?: string;
  /** Agents that run already are replaced, and have so long to finish their flows. */
  readonly replaceWithinMs?: number;
  /** Told of everything that happens; must not throw. */
  readonly onEvent?: EventSink;
}

/**
 * Publishes ports of a child's namespaces. `runParentDriver` starts it; from its `initComplete` on
 * ports can be added and removed, until it is told to quit. It is run once.
 *
 * Every rejection is a SluiceError: ERR_SPEC for a spec that is none, ERR_CONFLICT for a port that is
 * published already, ERR_BIND_IN_USE and others of that name for a host address that can't be had,
 * ERR_PROTO for a protocol that the kernel lacks, ERR_PORT_ID for an id that nobody has,
 * ERR_AGENT_START where no agent can be started, ERR_DRIVER_STATE outside of the run.
 */
export class Driver implements ParentDriver {
  readonly #options: DriverOptions;
  readonly #agentCount: number;
  readonly #protos: Protos;
  readonly #table: PortTable;
  readonly #emit: EventSink;
  readonly #observer: Observer;
  #run: Run | undefined;
  #hasResumed = false;
  #isLeaving = false;
  readonly #sources: SourceAddresses;

  constructor(options: DriverOptions = {}) {
    this.#options = options;
    this.#sources = new SourceAddresses(sourceIPOf(options) === 'require');
    this.#agentCount = agentCount(options);
    this.#emit = options.onEvent ?? (() => {});
    this.#protos = new Protos(options.childHostIP === 'tap' ? TAP_PROTOS : PROTOS);
    const servers: PortServers = {
      count: this.#agentCount,
      ask: (request, slot) => this.#agents.ask(request, slot),
      now: () => this.#run?.agents.servingNow ?? [],
    };
    this.#table = new PortTable(this.#protos, servers, () => this.#run?.state?.changed());
    this.#observer = new Observer(this.#table, this.#emit);
  }

  addPort(spec: Spec): Promise<Status> {
    return this.#added(this.#table.addPort(spec));
  }

  /** Adds a port that has its id already, from another driver or an earlier run. */
  adoptPort(status: Status): Promise<Status> {
    return this.#added(this.#table.adoptPort(status));
  }

  listPorts(): Promise<Status[]> {
    return this.#table.listPorts();
  }

  async removePort(id: number): Promise<void> {
    const spec = this.#table.specOf(id);
    await this.#table.removePort(id);
    if (spec !== undefined) this.#emit({ type: 'portRemoved', port: id, spec });
  }

  async info(): Promise<PortDriverInfo> {
    return {
      driver: 'sluice',
      protos: this.#protos.list,
      disallowLoopbackChildIP: this.#options.childHostIP === 'tap',
      sourceIP: await this.#sourceIP(),
      agents: (await this.#run?.agents.info()) ?? { running: [], restarts: 0 },
    };
  }

  /** Counters of the agents that serve, since they started. */
  async stats(): Promise<AgentStats> {
    const serving = await this.#agents.serving();
    return (await Promise.all(serving.map((agent) => agent.stats()))).reduce(added);
  }

  /** True when it went on with the ports of an earlier parent. */
  get hasResumed(): boolean {
    return this.#hasResumed;
  }

  /** Agents, ports and what is noted of them stay for a later driver when this one ends. */
  leave(): void {
    this.#isLeaving = true;
    this.#run?.state?.flush();
  }

  async #sourceIP(): Promise<SourceIPInfo> {
    const serving = this.#run?.agents.servingNow ?? [];
    const stats = serving.map((agent) => agent.stats().catch(() => []));
    const policy = sourceIPOf(this.#options);
    const now = await this.#sources.now();
    return sourceIPInfo(this.#protos.list, policy, now, (await Promise.all(stats)).flat());
  }

  /** How everything stands. */
  async snapshot(): Promise<Snapshot> {
    return this.#observer.snapshot(this.#agents, await this.#sourceIP());
  }

  /** The flows of a port: those that have moved the most bytes, `most` of them at the most. */
  async flows(id: number, most = MAX_FLOWS): Promise<PortFlows> {
    return this.#observer.flows(this.#agents, id, most);
  }

  /** The numbers of the fds that the agent inherits. */
  opaqueForChild(): Readonly<Record<string, string>> {
    return opaqueForChild();
  }

  /**
   * Goes on with the agents and the ports that an earlier parent left in these namespaces, if any.
   * Rejects when no agent can be started; agents that end later are replaced for ever.
   */
  async runParentDriver(
    initComplete: () => void,
    quit: AbortSignal,
    cctx: ChildContext,
  ): Promise<void> {
    const run = this.#newRun(cctx);
    this.#run = run;
    try {
      await this.#resume(run);
      using _ = watchNetworkHelper(cctx, run.poller, this.#emit);
      initComplete();
      this.#sources.watch({ ...run, child: cctx, emit: this.#emit });
      await aborted(quit);
    } finally {
      this.#run = undefined;
      this.#table.close();
      if (this.#isLeaving) {
        await this.#sources.leave();
        await run.agents.leave();
        run.state?.flush();
      } else {
        await run.agents.close();
        await this.#sources.undo();
        run.state?.discard();
      }
      await run.poller.close();
    }
  }

  get #agents(): Agents {
    if (this.#run !== undefined) return this.#run.agents;
    throw new SluiceError('ERR_DRIVER_STATE', 'the port driver is not running');
  }

  #newRun(child: ChildContext): Run {
    const { stateDir, replaceWithinMs } = this.#options;
    const poller = new Poller();
    const resolver = new DnatResolver(child, { onProblem: (error) => this.#emit(problem(error)) });
    const place = placeIn(child, this.#options);
    const agents = new Agents({
      ...place,
      count: this.#agentCount,
      early: this.#options.early,
      poller,
      calls: {
        resolve: (id, agentPid) =>
          this.#table.noted(id, resolveDial(this.#table.specOf(id), agentPid, resolver)),
        findReturnPath: async ({ id, target, client }) => {
          const spec = this.#table.specOf(id);
          const transport = spec === undefined ? 'tcp' : transportOf(spec.proto);
          await this.#sources.settled();
          return findReturnPath({ child, target: { ...target, transport }, client });
        },
        onSourceLost: (lost) => this.#observer.onSourceLost(lost),
        onShed: (counts) => this.#observer.onShed(counts),
        onRefused: (report) => this.#observer.onRefused(report),
        onAborted: (report) => this.#observer.onAborted(report),
      },
      emit: this.#emit,
      prepare: (agent, slot) => this.#prepare(agent, slot, place),
      onHeartbeat: async (agent, slot) => {
        await this.#observer.onHeartbeat(agent);
        await this.#table.handOver(agent, slot);
      },
      drainLimitMs: replaceWithinMs ?? DRAIN_LIMIT_MS,
    });
    const current = () => ({ lastId: this.#table.lastId, ports: this.#table.list() });
    const state =
      stateDir === undefined ? undefined : new StateFile(stateDir, child, current, this.#emit);
    return { place, poller, agents, state };
  }

  async #resume({ place, agents, state }: Run): Promise<void> {
    // What an earlier parent left is not this one's to end before all of it is taken over.
    this.#isLeaving = true;
    const noted = await state?.read();
    const served = await agents.adopt();
    this.#hasResumed = noted !== undefined || served.length > 0;
    this.#isLeaving = this.#hasResumed;
    this.#table.continueAfter(noted?.lastId ?? 0);
    for (const port of served) await this.#reporting(() => this.#table.takeBack(port));
    const started = agents.start(this.#options.replaceWithinMs !== undefined);
    // Beside the agent's start, which takes longer.
    this.#sources.setUp(place, this.#options.early);
    await started;
    const there = new Set(this.#table.list().map(({ id }) => id));
    for (const port of noted?.ports ?? []) {
      if (!there.has(port.id)) await this.#reporting(() => this.#table.adoptPort(port));
    }
    this.#isLeaving = false;
    state?.write();
    if (!this.#hasResumed) return;
    const isReload = this.#options.replaceWithinMs !== undefined;
    this.#emit({ type: 'driverResumed', ports: this.#table.list().length, isReload });
  }

  async #prepare(agent: AgentProcess, slot: number, place: AgentPlace): Promise<void> {
    this.#protos.agents = agent.transports;
    await agent.setUdpTimeouts(place.udpTimeouts);
    await agent.setLimits(limitsOf(this.#options, this.#agentCount, slot));
    await agent.setSourcePolicy(await this.#sources.policy());
    for (const failure of await this.#table.handOver(agent, slot)) {
      this.#emit({ type: 'problem', code: 'ERR_HAND_OVER', reason: `${failure}; trying again` });
    }
    if (agent.isGone) throw await agent.ended;
  }

  async #added(adding: Promise<Status>): Promise<Status> {
    const status = await adding;
    this.#emit({ type: 'portAdded', port: status.id, spec: status.spec });
    return status;
  }

  /** One port that can't be had again must not keep the others from it. */
  async #reporting(takePort: () => unknown): Promise<void> {
    try {
      await takePort();
    } catch (error) {
      this.#emit(problem(error, 'a port of the last run is lost: '));
    }
  }
}
