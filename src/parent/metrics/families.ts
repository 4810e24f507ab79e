/**
 * A snapshot as families of metrics. Names and units: Prometheus' "Metric and label naming", so base
 * units, `_total` for counters, and nothing in a name that is a label.
 */
import { VERSION } from '../api/version.js';
import type { Snapshot } from '../snapshot.js';
import { counter, type Family, gauge, type Sample } from './family.js';
import { portFamilies } from './port-families.js';

export function familiesOf(snapshot: Snapshot): Family[] {
  const { ports, agents, agentRestarts, pipes } = snapshot;
  return [
    gauge('sluice_build_info', 'Always 1; the version is a label.', [
      { labels: { version: VERSION }, value: 1 },
    ]),
    gauge('sluice_ports', 'Ports that are published.', one(ports.length)),
    gauge('sluice_pipes', 'Pipes that agents hold for splicing.', one(pipes)),
    counter(
      'sluice_agent_restarts_total',
      'Agents that ended and were replaced.',
      one(agentRestarts),
    ),
    counter(
      'sluice_agent_cpu_seconds_total',
      'User and system time of an agent.',
      agents.map(({ pid, cpuSeconds }) => ({ labels: { pid }, value: cpuSeconds })),
    ),
    gauge(
      'sluice_agent_resident_memory_bytes',
      'Resident memory of an agent.',
      agents.map(({ pid, residentBytes }) => ({ labels: { pid }, value: residentBytes })),
    ),
    ...portFamilies(snapshot),
    ...transportFamilies(snapshot),
  ];
}

/** For flows of all ports, those included that are no longer published. */
function transportFamilies({ transports }: Snapshot): Family[] {
  const all = Object.entries(transports).flatMap(([transport, stats]) =>
    stats === undefined ? [] : [{ transport, ...stats }],
  );
  const counts = (key: 'flows' | 'accepted' | 'refused' | 'shed'): Sample[] =>
    all.map(({ transport, ...stats }) => ({ labels: { transport }, value: stats[key] }));
  return [
    gauge('sluice_flows', 'Open connections, sessions and associations.', counts('flows')),
    counter('sluice_flows_accepted_total', 'Flows that clients began.', counts('accepted')),
    counter('sluice_flows_refused_total', 'Flows that no server took.', counts('refused')),
    counter('sluice_flows_shed_total', 'Flows ended for want of resources.', counts('shed')),
    counter(
      'sluice_flows_source_address_total',
      "Flows that reached their server with the client's address (kept), why without it, or refused (required).",
      all.flatMap(({ transport, sourceKept, sourceLost, sourceRefused }) =>
        Object.entries({ kept: sourceKept, ...sourceLost, required: sourceRefused }).map(
          ([outcome, value]) => ({
            labels: { transport, outcome },
            value,
          }),
        ),
      ),
    ),
    counter(
      'sluice_drops_total',
      'Datagrams and messages that were not delivered.',
      all.flatMap(({ transport, drops }) =>
        Object.entries(drops).map(([reason, value]) => ({ labels: { transport, reason }, value })),
      ),
    ),
  ];
}

/** Without labels. */
function one(value: number): Sample[] {
  return [{ labels: {}, value }];
}
