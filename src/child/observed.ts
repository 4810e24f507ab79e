/** Looking into a port: how one flow stands, and which are told of where there are too many. */

import type { FlowState, FlowStats } from '../msg/flows.js';
import { type Address, addressOf } from '../msg/sockaddr.js';

/** A flow, as it knows itself: times are on the clock of performance.now(), addresses sockaddrs. */
export interface Observed {
  readonly id: number;
  readonly client: Uint8Array;
  readonly server: Uint8Array | undefined;
  readonly state: FlowState;
  readonly startedAt: number;
  readonly activeAt: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly packetsIn: number;
  readonly packetsOut: number;
}

export interface Observable {
  /** Both ways, so far. */
  readonly bytes: number;
  observe(): Observed;
}

/** What V8 keeps in the field of an object itself: see deadlines.ts. */
const MAX_ID = 2 ** 31 - 1;

let lastId = 0;

/** Starts again at 1 after MAX_ID flows. */
export function newFlowId(): number {
  lastId = (lastId % MAX_ID) + 1;
  return lastId;
}

/** Those that have moved the most bytes, of equal ones the newest: all others cost a number each. */
export function busiest<T extends Observable>(flows: readonly T[], most: number): readonly T[] {
  if (flows.length <= most) return flows;
  const least = Float64Array.from(flows, ({ bytes }) => bytes)
    .toSorted()
    .at(-most) as number;
  const above = flows.filter(({ bytes }) => bytes > least);
  const ties = flows.filter(({ bytes }) => bytes === least);
  return [...above, ...ties.slice(above.length - most)];
}

export function flowStats(flow: Observable, now: number): FlowStats {
  const observed = flow.observe();
  const { id, server, state, bytesIn, bytesOut, packetsIn, packetsOut } = observed;
  const client = addressOf(observed.client);
  const ageMs = Math.max(0, Math.round(now - observed.startedAt));
  const idleMs = Math.max(0, Math.round(now - observed.activeAt));
  // Set, not spread: a thousand times in a row that makes two milliseconds.
  const stats: FlowStats & { server?: Address } = {
    id,
    client,
    state,
    ageMs,
    idleMs,
    bytesIn,
    bytesOut,
    packetsIn,
    packetsOut,
  };
  if (server !== undefined) stats.server = addressOf(server);
  return stats;
}
