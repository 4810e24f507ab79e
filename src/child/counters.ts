/** The counters of one port: plain numbers, added to once a turn or a batch, never for a byte. */

import { CONNECT_BUCKETS_MS, type PortStats } from '../msg/port-stats.js';

/** What went one way. */
export interface Tally {
  bytes: number;
  packets: number;
}

export class PortCounters {
  /** Open now. */
  flows = 0;
  accepted = 0;
  refused = 0;
  shed = 0;
  /** Towards the server. */
  readonly in: Tally = { bytes: 0, packets: 0 };
  /** Towards the client. */
  readonly out: Tally = { bytes: 0, packets: 0 };
  /** Datagrams and messages that were not delivered, by reason. */
  readonly drops: Record<string, number> = {};
  readonly #connects: number[] = [...CONNECT_BUCKETS_MS, Infinity].map(() => 0);
  #connectMs = 0;
  /** Other agents have the port, too. */
  readonly isShared: boolean;

  constructor(isShared = false) {
    this.isShared = isShared;
  }

  /** A server took a flow, so long after its client came. */
  connected(ms: number): void {
    const found = CONNECT_BUCKETS_MS.findIndex((most) => ms <= most);
    const bucket = found < 0 ? CONNECT_BUCKETS_MS.length : found;
    this.#connects[bucket] = (this.#connects[bucket] as number) + 1;
    this.#connectMs += ms;
  }

  drop(reason: string, count = 1): void {
    this.drops[reason] = (this.drops[reason] ?? 0) + count;
  }

  /** `queueDrops` are those that the kernel has counted at sockets that are open. */
  stats(id: number, queueDrops: number): PortStats {
    const queueFull = (this.drops['queueFull'] ?? 0) + queueDrops;
    return {
      id,
      flows: this.flows,
      accepted: this.accepted,
      refused: this.refused,
      shed: this.shed,
      bytesIn: this.in.bytes,
      bytesOut: this.out.bytes,
      packetsIn: this.in.packets,
      packetsOut: this.out.packets,
      drops: { ...this.drops, ...(queueFull > 0 && { queueFull }) },
      connects: this.#connects,
      connectMicros: Math.round(this.#connectMs * 1000),
    };
  }
}
