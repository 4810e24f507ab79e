/** What is known of each port, labelled with its id and its spec. */
import { CONNECT_BUCKETS_MS, type PortStats } from '../../msg/port-stats.js';
import { transportOf } from '../../msg/port.js';
import { formatPortSpec } from '../../msg/spec.js';
import type { Snapshot } from '../snapshot.js';
import { counter, type Family, gauge, type Sample } from './family.js';

type Labels = Sample['labels'];
type Counted = 'flows' | 'accepted' | 'refused' | 'shed';

interface Port {
  readonly labels: Labels;
  readonly transport: string;
  readonly stats: PortStats;
}

export function portFamilies({ ports }: Snapshot): Family[] {
  const counted = ports.flatMap(({ id, spec, stats }): Port[] => {
    const labels = { port: id, spec: formatPortSpec(spec) };
    return stats === undefined ? [] : [{ labels, transport: transportOf(spec.proto), stats }];
  });
  const each = (key: Counted): Sample[] =>
    counted.map(({ labels, stats }) => ({ labels, value: stats[key] }));
  // Of a TCP stream nobody knows where its packets began.
  const messages = counted.filter(({ transport }) => transport !== 'tcp');
  // A datagram connects nothing.
  const connections = counted.filter(({ transport }) => transport !== 'udp');
  return [
    gauge('sluice_port_flows', 'Open flows of a port.', each('flows')),
    counter('sluice_port_flows_accepted_total', 'Flows that clients began.', each('accepted')),
    counter('sluice_port_flows_refused_total', 'Flows that no server took.', each('refused')),
    counter('sluice_port_flows_shed_total', 'Flows ended for want of resources.', each('shed')),
    counter(
      'sluice_port_bytes_total',
      'Bytes delivered to the server (in) and to clients (out).',
      counted.flatMap(({ labels, stats }) => bothWays(labels, stats.bytesIn, stats.bytesOut)),
    ),
    counter(
      'sluice_port_packets_total',
      'Datagrams and messages delivered to the server (in) and to clients (out).',
      messages.flatMap(({ labels, stats }) => bothWays(labels, stats.packetsIn, stats.packetsOut)),
    ),
    counter(
      'sluice_port_drops_total',
      'Datagrams and messages that were not delivered.',
      messages.flatMap(({ labels, stats }) =>
        Object.entries(stats.drops).map(([reason, value]) => ({
          labels: { ...labels, reason },
          value,
        })),
      ),
    ),
    {
      name: 'sluice_port_connect_duration_seconds',
      help: "From a client's connection to its server's answer.",
      type: 'histogram',
      samples: connections.flatMap(({ labels, stats }) => histogram(labels, stats)),
    },
  ];
}

function bothWays(labels: Labels, towardsServer: number, towardsClients: number): Sample[] {
  return [
    { labels: { ...labels, direction: 'in' }, value: towardsServer },
    { labels: { ...labels, direction: 'out' }, value: towardsClients },
  ];
}

/** Each bucket counts those below it as well. */
function histogram(labels: Labels, { connects, connectMicros }: PortStats): Sample[] {
  const ends = [...CONNECT_BUCKETS_MS.map((ms) => String(ms / 1000)), '+Inf'];
  let count = 0;
  const buckets = ends.map((le, index) => {
    count += connects[index] ?? 0;
    return { suffix: '_bucket', labels: { ...labels, le }, value: count };
  });
  return [
    ...buckets,
    { suffix: '_sum', labels, value: connectMicros / 1_000_000 },
    { suffix: '_count', labels, value: count },
  ];
}
