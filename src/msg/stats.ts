/** What an agent counts, and the check of it when it comes over the channel. */

import { count, type Fields, fieldsOf, integer } from './fields.js';
import { type Transport, TRANSPORTS } from './port.js';

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
  /** Datagrams and messages that were not delivered, by reason. */
  readonly drops: Readonly<Record<string, number>>;
}

/**
 * Why a flow goes without its client's address: `disabled` in this namespace, or for SCTP; a `loopback` client;
 * client and server of different `family`; the client's address lies in a network of the child
 * namespace, so that replies would stay there (`overlap`); the server is a process of the namespace
 * itself, and what it answers over UDP would not come back (`local`); the kernel `refused` the address.
 */
export const SOURCE_LOSSES = [
  'disabled',
  'loopback',
  'family',
  'overlap',
  'local',
  'refused',
] as const;

export type SourceLoss = (typeof SOURCE_LOSSES)[number];

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
    drops: Object.fromEntries(Object.keys(drops).map((reason) => [reason, count(drops, reason)])),
  };
}

function sourceLost(fields: Fields): Record<SourceLoss, number> {
  return {
    disabled: count(fields, 'disabled'),
    loopback: count(fields, 'loopback'),
    family: count(fields, 'family'),
    overlap: count(fields, 'overlap'),
    local: count(fields, 'local'),
    refused: count(fields, 'refused'),
  };
}
