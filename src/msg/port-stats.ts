/** What an agent counts for each port, and the check of it when it comes over the channel. */

import { count, type Fields, fieldsOf, integer, invalid } from './fields.js';
import { type Address, parseAddress } from './sockaddr.js';

/** Ports in one message: a fraction of what a frame may hold. */
export const MAX_PORTS_PER_MESSAGE = 512;

/** Upper ends of the connect latencies that are counted together; one more count is for all above. */
export const CONNECT_BUCKETS_MS = [
  0.1, 0.25, 0.5, 1, 2.5, 5, 10, 50, 100, 500, 1000, 5000,
] as const;

/** Since the agent got the port. `in` is towards the server, `out` towards the client. */
export interface PortStats {
  readonly id: number;
  /** Open now. */
  readonly flows: number;
  readonly accepted: number;
  readonly refused: number;
  readonly shed: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Datagrams and messages; a TCP connection has none. */
  readonly packetsIn: number;
  readonly packetsOut: number;
  /** Datagrams and messages that were not delivered, by reason; those without one are left out. */
  readonly drops: Readonly<Record<string, number>>;
  /** From accept to the server's answer, by CONNECT_BUCKETS_MS. */
  readonly connects: readonly number[];
  readonly connectMicros: number;
}

/** What an agent tells of a port. */
export interface PortReport {
  readonly stats: PortStats;
  /** Where the last flow went, behind the engine's rules; absent before the first one. */
  readonly server?: Address;
}

const COUNTS = [
  'flows',
  'accepted',
  'refused',
  'shed',
  'bytesIn',
  'bytesOut',
  'packetsIn',
  'packetsOut',
  'connectMicros',
] as const;

export function parsePortReports(value: unknown): PortReport[] {
  if (!Array.isArray(value) || value.length > MAX_PORTS_PER_MESSAGE) {
    throw invalid('ports', value, `at most ${MAX_PORTS_PER_MESSAGE} ports`);
  }
  return value.map((entry: unknown) => portReport(fieldsOf(entry, 'ports')));
}

function portReport({ stats, server }: Fields): PortReport {
  return {
    stats: portStats(fieldsOf(stats, 'stats')),
    ...(server !== undefined && { server: parseAddress(fieldsOf(server, 'server')) }),
  };
}

function portStats(fields: Fields): PortStats {
  const counts = Object.fromEntries(COUNTS.map((key) => [key, count(fields, key)])) as Record<
    (typeof COUNTS)[number],
    number
  >;
  const given = fields['connects'];
  const buckets = CONNECT_BUCKETS_MS.length + 1;
  if (!Array.isArray(given) || given.length !== buckets) {
    throw invalid('connects', given, `${buckets} counts`);
  }
  const connects = given.map((seen: unknown) => count({ connects: seen }, 'connects'));
  const reasons = fieldsOf(fields['drops'], 'drops');
  const drops = Object.fromEntries(Object.keys(reasons).map((key) => [key, count(reasons, key)]));
  return { id: integer(fields, 'id', 1), ...counts, drops, connects };
}
