/** Looks at a driver from its own side: what its agents tell by themselves, and how it stands. */

import type { ShedCounts } from '../msg/overload.js';
import type { SourceIPInfo } from '../msg/port.js';
import type { PortStats } from '../msg/port-stats.js';
import type { Aborted, Refused } from '../msg/reports.js';
import { formatAddress } from '../msg/sockaddr.js';
import type { AgentStats } from '../msg/stats.js';
import type { AgentProcess } from './agent.js';
import type { Agents } from './agents.js';
import type { EventSink } from './events/event.js';
import type { PortTable } from './ports.js';
import { processLoad } from './process-load.js';
import type { AgentSnapshot, Snapshot } from './snapshot.js';
import { Totals } from './totals.js';

export class Observer {
  readonly #table: PortTable;
  readonly #emit: EventSink;
  readonly #totals = new Totals<AgentProcess>();
  #isAsked = false;

  constructor(table: PortTable, emit: EventSink) {
    this.#table = table;
    this.#emit = emit;
  }

  onShed(counts: ShedCounts): void {
    const flows = Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
    this.#emit({ type: 'limitHit', flows });
  }

  onRefused({ id: port, flows, client }: Refused): void {
    const spec = this.#table.specOf(port);
    if (spec === undefined) return;
    this.#emit({ type: 'flowRefused', port, spec, flows, client: formatAddress(client) });
  }

  onAborted({ id: port, flows, reason }: Aborted): void {
    const spec = this.#table.specOf(port);
    if (spec !== undefined) this.#emit({ type: 'flowAborted', port, spec, flows, reason });
  }

  /** Every second or so. Ports are looked at only for a driver that was ever asked about them. */
  async onHeartbeat(agent: AgentProcess): Promise<void> {
    await (this.#isAsked ? this.#look(agent) : agent.stats());
  }

  async snapshot(agents: Agents, sourceIP: SourceIPInfo): Promise<Snapshot> {
    this.#isAsked = true;
    const { running, restarts } = await agents.info();
    const asked = (await agents.all()).filter(({ foreign }) => foreign === undefined);
    // One that ends meanwhile is counted as it was seen last.
    const looks = asked.map(async (agent) => this.#look(agent).catch(() => undefined));
    const [ports, loads, stats] = await Promise.all([
      this.#table.listPorts(),
      Promise.all(running.map(async (agent) => ({ ...agent, ...(await processLoad(agent.pid)) }))),
      Promise.all(looks),
    ]);
    const counts = this.#totals.of(new Set(asked), new Set(ports.map(({ id }) => id)));
    return {
      ports: ports.map(({ id, spec }) => ({ id, spec, ...statsOf(counts.ports.get(id)) })),
      agents: loads.filter((load): load is AgentSnapshot => 'cpuSeconds' in load),
      agentRestarts: restarts,
      pipes: stats.reduce((total, one) => total + (one?.pipes ?? 0), 0),
      sourceIP,
      transports: counts.transports,
    };
  }

  async #look(agent: AgentProcess): Promise<AgentStats> {
    const [stats, ports] = await Promise.all([agent.stats(), agent.portStats()]);
    const byId = new Map(ports.map((one) => [one.id, one]));
    this.#totals.set(agent, { transports: stats.transports, ports: byId });
    return stats;
  }
}

function statsOf(stats: PortStats | undefined): { stats?: PortStats } {
  return stats === undefined ? {} : { stats };
}
