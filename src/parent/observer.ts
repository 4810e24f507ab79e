/** Looks at a driver from its own side: what its agents tell by themselves, and how it stands. */

import type { FlowStats, Flows } from '../msg/flows.js';
import type { ShedCounts } from '../msg/overload.js';
import type { SourceIPInfo } from '../msg/port.js';
import type { Aborted, Refused } from '../msg/reports.js';
import { type Address, formatAddress } from '../msg/sockaddr.js';
import type { SourceLost } from '../msg/source-address.js';
import type { AgentStats } from '../msg/stats.js';
import type { AgentProcess } from './agent.js';
import type { Agents } from './agents.js';
import type { EventSink } from './events/event.js';
import type { PortTable } from './ports.js';
import { processLoad } from './process-load.js';
import type { AgentSnapshot, PortFlows, Snapshot } from './snapshot.js';
import { Totals } from './totals.js';

/** A longer pause between two scrapes, and an agent that ends in it takes along what it counted. */
const INTEREST_MS = 60_000;

const NO_FLOWS: Flows = { total: 0, flows: [] };

/** At one agent. */
interface Look {
  readonly stats: AgentStats;
  readonly servers: ReadonlyMap<number, Address | undefined>;
}

export class Observer {
  readonly #table: PortTable;
  readonly #emit: EventSink;
  readonly #totals = new Totals<AgentProcess>();
  /** When somebody asked for a snapshot, on the clock of performance.now(); undefined for long ago. */
  #askedAt: number | undefined;

  constructor(table: PortTable, emit: EventSink) {
    this.#table = table;
    this.#emit = emit;
  }

  /** What agents tell by themselves. */
  readonly reports = {
    onSourceLost: (lost: SourceLost) => this.onSourceLost(lost),
    onShed: (counts: ShedCounts) => this.onShed(counts),
    onRefused: (refused: Refused) => this.onRefused(refused),
    onAborted: (aborted: Aborted) => this.onAborted(aborted),
  };

  onShed(counts: ShedCounts): void {
    const flows = Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
    this.#emit({ type: 'limitHit', flows });
  }

  onRefused({ id: port, flows, client }: Refused): void {
    const spec = this.#table.specOf(port);
    if (spec === undefined) return;
    this.#emit({ type: 'flowRefused', port, spec, flows, client: formatAddress(client) });
  }

  onSourceLost({ id: port, loss, isRefused, client, server, detail }: SourceLost): void {
    const spec = this.#table.specOf(port);
    if (spec === undefined) return;
    const common = { port, spec, loss, isRefused, client, server: formatAddress(server) };
    this.#emit({ type: 'sourceLost', ...common, ...(detail !== '' && { detail }) });
  }

  onAborted({ id: port, flows, reason }: Aborted): void {
    const spec = this.#table.specOf(port);
    if (spec !== undefined) this.#emit({ type: 'flowAborted', port, spec, flows, reason });
  }

  /** Every second or so. Ports are looked at only while somebody asks for snapshots. */
  async onHeartbeat(agent: AgentProcess): Promise<void> {
    const askedAt = this.#askedAt;
    if (askedAt !== undefined && performance.now() - askedAt > INTEREST_MS) {
      this.#askedAt = undefined;
    }
    await (this.#askedAt === undefined ? agent.stats() : this.#look(agent));
  }

  async snapshot(agents: Agents, sourceIP: SourceIPInfo): Promise<Snapshot> {
    this.#askedAt = performance.now();
    const { running, restarts } = await agents.info();
    const { asked } = agents;
    const serving = new Set(agents.servingNow);
    // One that ends meanwhile is counted as it was seen last.
    const looking = asked.map(async (agent) => this.#look(agent).catch(() => undefined));
    const [ports, loads, looks] = await Promise.all([
      this.#table.listPorts(),
      Promise.all(running.map(async (agent) => ({ ...agent, ...(await processLoad(agent.pid)) }))),
      Promise.all(looking),
    ]);
    const servers = looks.filter((_, index) => serving.has(asked[index] as AgentProcess));
    const counts = this.#totals.of(new Set(asked), new Set(ports.map(({ id }) => id)));
    return {
      ports: ports.map(({ id, spec }) => {
        const stats = counts.ports.get(id);
        const server = servers
          .map((look) => look?.servers.get(id))
          .find((one) => one !== undefined);
        return { id, spec, ...(server !== undefined && { server }), ...(stats && { stats }) };
      }),
      agents: loads.filter((load): load is AgentSnapshot => 'cpuSeconds' in load),
      agentRestarts: restarts,
      pipes: looks.reduce((total, one) => total + (one?.stats.pipes ?? 0), 0),
      sourceIP,
      transports: counts.transports,
    };
  }

  /**
   * Those of one port that have moved the most bytes, `most` at most, whichever agent has them.
   * Rejects with ERR_PORT_ID for an id that nobody has.
   */
  async flows(agents: Agents, id: number, most: number): Promise<PortFlows> {
    this.#table.check(id);
    const answers = await Promise.all(
      agents.asked.map(async (agent) => {
        // Those of one that ends meanwhile end with it.
        const { total, flows } = await agent.flows(id, most).catch(() => NO_FLOWS);
        return { total, flows: flows.map((flow) => ({ agent: agent.pid, ...flow })) };
      }),
    );
    return {
      total: answers.reduce((sum, { total }) => sum + total, 0),
      flows: answers
        .flatMap(({ flows }) => flows)
        .toSorted((a, b) => bytesOf(b) - bytesOf(a))
        .slice(0, most),
    };
  }

  async #look(agent: AgentProcess): Promise<Look> {
    const [stats, reports] = await Promise.all([agent.stats(), agent.portStats()]);
    const ports = new Map(reports.map((one) => [one.stats.id, one.stats]));
    this.#totals.set(agent, { transports: stats.transports, ports });
    return { stats, servers: new Map(reports.map((one) => [one.stats.id, one.server])) };
  }
}

function bytesOf({ bytesIn, bytesOut }: FlowStats): number {
  return bytesIn + bytesOut;
}
