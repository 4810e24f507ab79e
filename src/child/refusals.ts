/** Flows that no server took, told to the parent at most once a second for each port. */

import { type Address, addressOf } from '../msg/sockaddr.js';
import { ReportClock } from './report-clock.js';

/** Ports told about at a time; those beyond have their counters. */
const MAX_PORTS = 64;

interface Refused {
  flows: number;
  /** The last one's, as a sockaddr. */
  client: Uint8Array;
}

/** Tells of so many flows (UDP: datagrams) of a port since the last time, and the last client. */
export type ReportRefused = (port: number, flows: number, client: Address) => void;

export class Refusals extends ReportClock {
  readonly #tell: ReportRefused;
  readonly #refused = new Map<number, Refused>();

  constructor(report: ReportRefused) {
    super();
    this.#tell = report;
  }

  add(port: number, client: Uint8Array): void {
    const known = this.#refused.get(port);
    if (known !== undefined) {
      known.flows++;
      known.client = client;
    } else if (this.#refused.size < MAX_PORTS) {
      this.#refused.set(port, { flows: 1, client });
    }
    this.gathered();
  }

  protected override report(): void {
    for (const [port, { flows, client }] of this.#refused) {
      this.#tell(port, flows, addressOf(client));
    }
    this.#refused.clear();
  }
}
