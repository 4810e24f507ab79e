/** The single flows of a port, and the check of them when they come over the channel. */

import { count, type Fields, fieldsOf, integer, invalid } from './fields.js';
import { type Address, parseAddress } from './sockaddr.js';

/** Told at a time, of one port: a quarter of what a frame may hold, some milliseconds' work. */
export const MAX_FLOWS = 1000;

/**
 * `dialling`: no server has taken it yet; `open`; `half-closed`: one side has said all, a FIN or
 * SHUTDOWN; `draining`: one side was reset, and the other one gets what came before.
 */
export const FLOW_STATES = ['dialling', 'open', 'half-closed', 'draining'] as const;

export type FlowState = (typeof FLOW_STATES)[number];

export interface FlowStats {
  /** No other flow of its agent has it, or had it among the last 2^31 flows. */
  readonly id: number;
  /** Its port may be 0. */
  readonly client: Address;
  /** That was dialled; absent while it is being asked for. */
  readonly server?: Address;
  readonly state: FlowState;
  readonly ageMs: number;
  /** Since something came from the client or the server, or was taken by one. */
  readonly idleMs: number;
  /** Delivered to the server. */
  readonly bytesIn: number;
  /** Delivered to the client. */
  readonly bytesOut: number;
  /** Datagrams and messages; a TCP connection has none. */
  readonly packetsIn: number;
  readonly packetsOut: number;
}

/** The flows of one port. */
export interface Flows<Flow extends FlowStats = FlowStats> {
  /** All that there are. */
  readonly total: number;
  /** Those that have moved the most bytes, MAX_FLOWS at most. */
  readonly flows: readonly Flow[];
}

export function parseFlows(fields: Fields): Flows {
  const { flows } = fields;
  if (!Array.isArray(flows) || flows.length > MAX_FLOWS) {
    throw invalid('flows', flows, `at most ${MAX_FLOWS} flows`);
  }
  return {
    total: integer(fields, 'total'),
    flows: flows.map((entry: unknown) => flowStats(fieldsOf(entry, 'flows'))),
  };
}

function flowStats(fields: Fields): FlowStats {
  const state = FLOW_STATES.find((name) => name === fields['state']);
  if (state === undefined) {
    throw invalid('state', fields['state'], `one of ${FLOW_STATES.join(', ')}`);
  }
  const server = fields['server'];
  return {
    id: integer(fields, 'id', 1),
    client: parseAddress(fieldsOf(fields['client'], 'client'), 0),
    ...(server !== undefined && { server: parseAddress(fieldsOf(server, 'server')) }),
    state,
    ageMs: integer(fields, 'ageMs'),
    idleMs: integer(fields, 'idleMs'),
    bytesIn: count(fields, 'bytesIn'),
    bytesOut: count(fields, 'bytesOut'),
    packetsIn: count(fields, 'packetsIn'),
    packetsOut: count(fields, 'packetsOut'),
  };
}
