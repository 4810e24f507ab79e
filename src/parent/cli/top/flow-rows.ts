/** From one look into a port to the next: how fast each of its flows goes. */
import type { FlowState } from '../../../msg/flows.js';
import { formatAddress } from '../../../msg/sockaddr.js';
import type { PortFlow, PortFlows } from '../../snapshot.js';

export interface FlowRow {
  /** Of the agent and of its flow. */
  readonly id: string;
  readonly agent: number;
  readonly client: string;
  /** Empty while it is not known. */
  readonly server: string;
  readonly state: FlowState;
  readonly ageMs: number;
  readonly idleMs: number;
  /** In a second. `in` is towards the server. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** So far. */
  readonly totalIn: number;
  readonly totalOut: number;
  readonly packetsIn: number;
  readonly packetsOut: number;
}

export interface FlowTable {
  readonly flows: readonly FlowRow[];
  /** Those that the driver has not told of. */
  readonly more: number;
}

/** A flow before it was there. */
const UNBORN = { bytesIn: 0, bytesOut: 0, ageMs: 0 };

export class FlowRates {
  #before = new Map<string, PortFlow>();

  /** The rate of a flow that was not in the answer before is its average so far. */
  next({ total, flows }: PortFlows): FlowTable {
    const before = this.#before;
    this.#before = new Map(flows.map((flow) => [idOf(flow), flow]));
    const rows = flows.map((flow) => row(flow, before.get(idOf(flow)) ?? UNBORN));
    return { flows: rows, more: total - flows.length };
  }
}

function idOf({ agent, id }: PortFlow): string {
  return `${agent}/${id}`;
}

/** The agent's own clock is in `ageMs`, so that it doesn't matter how long its answer took. */
function row(flow: PortFlow, then: typeof UNBORN): FlowRow {
  const { agent, client, server, state, ageMs, idleMs, packetsIn, packetsOut } = flow;
  const seconds = (ageMs - then.ageMs) / 1000;
  const rate = (bytes: number) => (seconds > 0 ? Math.max(0, bytes) / seconds : 0);
  return {
    id: idOf(flow),
    agent,
    client: formatAddress(client),
    server: server === undefined ? '' : formatAddress(server),
    state,
    ageMs,
    idleMs,
    bytesIn: rate(flow.bytesIn - then.bytesIn),
    bytesOut: rate(flow.bytesOut - then.bytesOut),
    totalIn: flow.bytesIn,
    totalOut: flow.bytesOut,
    packetsIn,
    packetsOut,
  };
}
