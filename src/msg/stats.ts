/** What an agent counts, and the check of it when it comes over the channel. */

import { count, type Fields, fieldsOf, integer } from './fields.js';
import { type Transport, TRANSPORTS } from './port.js';
import { SOURCE_LOSSES, type SourceLoss } from './source-address.js';

/** What an agent has now, and its counters since its start. */
export interface AgentStats {
  readonly ports: number;
  readonly pipes: number;
  /** Those that this agent forwards. */
  readonly transports: Readonly<Partial<Record<Transport, TransportStats>>>;
}

export interface TransportStats {
  /** Open now. */
  readonly flows: number;
  readonly accepted: number;
  readonly refused: number;
  readonly shed: number;
  /** Flows that reached the server under the client's own address. */
  readonly sourceKept: number;
  /** Flows that could not, by reason. */
  readonly sourceLost: Readonly<Record<SourceLoss, number>>;
  /** Flows (UDP: datagrams) refused since they could not, where that is required. */
  readonly sourceRefused: number;
  /** Datagrams and messages that were not delivered, by reason. */
  readonly drops: Readonly<Record<string, number>>;
}

export function parseAgentStats(fields: Fields): AgentStats {
  const given = fieldsOf(fields['transports'], 'transports');
  const names = TRANSPORTS.filter((name) => given[name] !== undefined);
  const transports = names.map(
    (name) => [name, transportStats(fieldsOf(given[name], name))] as const,
  );
  return {
    ports: integer(fields, 'ports'),
    pipes: integer(fields, 'pipes'),
    transports: Object.fromEntries(transports),
  };
}

function transportStats(fields: Fields): TransportStats {
  const drops = fieldsOf(fields['drops'], 'drops');
  return {
    flows: count(fields, 'flows'),
    accepted: count(fields, 'accepted'),
    refused: count(fields, 'refused'),
    shed: count(fields, 'shed'),
    sourceKept: count(fields, 'sourceKept'),
    sourceLost: sourceLost(fieldsOf(fields['sourceLost'], 'sourceLost')),
    sourceRefused: count(fields, 'sourceRefused'),
    drops: Object.fromEntries(Object.keys(drops).map((reason) => [reason, count(drops, reason)])),
  };
}

function sourceLost(fields: Fields): Record<SourceLoss, number> {
  const counts = SOURCE_LOSSES.map((loss) => [loss, count(fields, loss)] as const);
  return Object.fromEntries(counts) as Record<SourceLoss, number>;
}
