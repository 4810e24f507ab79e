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
} from '../msg/port.js';
import type { AgentStats } from '../msg/stats.js';
import type { AgentProcess } from './agent.js';
import { agentCount, limitsOf } from './agent-count.js';
import { cannotReload, CLOSED_DOORS } from './agent-door.js';
import { type AgentPlace, placeIn, sourceIPOf } from './agent-place.js';
import { opaqueForChild } from './agent-fds.js';
import { Agents } from './agents.js';
import { DnatResolver } from './dnat/resolver.js';
import type { DriverOptions } from './options.js';
import { watchNetworkHelper } from './network-helper.js';
import { type EventSink, problem } from './events/event.js';
import { Observer } from './observer.js';
import { Poller } from './poller.js';
import { type LeftPort, type PortKeeper, PortTable, type PortServers } from './ports.js';
import { Protos } from './protos.js';
import { resumePorts } from './resume.js';
import { resolveDial } from './resolve.js';
import { answerOf } from './return-path/return-path.js';
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

export type { DriverOptions };

/** What one run of the driver has. */
interface Run {
  readonly place: AgentPlace;
  readonly poller: Poller;
  readonly agents: Agents;
  readonly state: StateFile | undefined;
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
      now: () => this.#run?.agents.havingPorts ?? [],
    };
    const keeper: PortKeeper = {
      added: (port, sockets) => {
        this.#run?.state?.added(port);
        options.keeper?.added(port, sockets);
      },
      removed: async (id) => {
        this.#run?.state?.removed(id);
        await options.keeper?.removed(id);
      },
    };
    this.#table = new PortTable(this.#protos, servers, keeper);
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

  /**
   * Agents, ports and what is noted of them stay for a later driver when this one ends. Returns the
   * ports, with the numbers of their sockets, which are open until then.
   */
  leave(): readonly LeftPort[] {
    this.#isLeaving = true;
    return this.#table.kept();
  }

  /** Throws ERR_RELOAD where a later driver could not take this one's agents over. */
  checkLeaving(): void {
    const cause = this.#run?.agents.doorError;
    if (cause !== undefined) throw cannotReload(cause);
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
      } else {
        await run.agents.close();
        await this.#sources.undo();
        run.state?.remove();
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
        findReturnPath: async (question) => {
          // While rules of ours are away, no reply comes back from anywhere.
          await this.#sources.settled();
          return answerOf(question, child, this.#table.specOf(question.id));
        },
        ...this.#observer.reports,
      },
      emit: this.#emit,
      prepare: (agent, slot) => this.#prepare(agent, slot, place),
      onHeartbeat: async (agent, slot) => {
        await this.#observer.onHeartbeat(agent);
        await this.#table.handOver(agent, slot);
      },
      drainLimitMs: replaceWithinMs ?? DRAIN_LIMIT_MS,
    });
    const current = () => {
      const ports = this.#table.kept().map(({ id, spec }) => ({ id, spec }));
      return { lastId: this.#table.lastId, ports };
    };
    const state =
      stateDir === undefined ? undefined : new StateFile(stateDir, child, current, this.#emit);
    return { place, poller, agents, state };
  }

  async #resume({ place, agents, state }: Run): Promise<void> {
    // What an earlier parent left is not this one's to end before all of it is taken over.
    this.#isLeaving = true;
    const { held, keeper, replaceWithinMs } = this.#options;
    const isReload = replaceWithinMs !== undefined;
    const noted = await state?.read();
    const [table, emit] = [this.#table, this.#emit];
    const resumed = await resumePorts({ table, agents, noted, held, emit });
    this.#isLeaving = this.#hasResumed = resumed.isAny;
    const started = agents.start(isReload);
    // Beside the agent's start, which takes longer.
    this.#sources.setUp(place, this.#options.early);
    await started;
    await resumed.openOthers();
    this.#isLeaving = false;
    state?.write();
    if (keeper !== undefined) resumed.tell(keeper, isReload);
    const cause = agents.doorError;
    if (cause !== undefined) this.#emit(problem(cause, CLOSED_DOORS));
    if (!this.#hasResumed) return;
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
    // It may have changed meanwhile, when only those that serve were told.
    await agent.setSourcePolicy(await this.#sources.policy());
    if (agent.isGone) throw await agent.ended;
  }

  async #added(adding: Promise<Status>): Promise<Status> {
    const status = await adding;
    this.#emit({ type: 'portAdded', port: status.id, spec: status.spec });
    return status;
  }
}
