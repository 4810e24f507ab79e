/** Looking into a port: how one flow stands, and which are told of where there are too many. */

import type { FlowState, FlowStats } from '../msg/flows.js';
import { decodeSockAddr } from '../msg/sockaddr.js';

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

let lastId = 0;

export function newFlowId(): number {
  return ++lastId;
}

/** Those that have moved the most bytes. For the others nothing is made but a number. */
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
  const { client, server, startedAt, activeAt, ...rest } = flow.observe();
  return {
    ...rest,
    client: addressOf(client),
    ...(server !== undefined && { server: addressOf(server) }),
    ageMs: Math.max(0, Math.round(now - startedAt)),
    idleMs: Math.max(0, Math.round(now - activeAt)),
  };
}

function addressOf(sockaddr: Uint8Array) {
  return decodeSockAddr(new DataView(sockaddr.buffer, sockaddr.byteOffset));
}
