/** All SCTP ports of the agent. */

import { ABORT_REASONS, type AbortReason } from '../../msg/aborts.js';
import { Connections, type Watchers } from '../connections.js';
import type { Tally } from '../counters.js';
import type { PublishedPort } from '../forwarder.js';
import type { Reactor } from '../reactor.js';
import { SlabPool } from '../slabs.js';
import { Messages } from './messages.js';
import { type Drop, SctpPump, type Shared, SLAB_BYTES } from './pump.js';
import { connectTo, unacknowledged } from './sockets.js';
import { SctpSources } from './sources.js';

/** A message may leave 1 MiB of memory in each. */
const WARM_SLABS = 8;

const ABORTS: ReadonlySet<string> = new Set(ABORT_REASONS);
/** Whoever sends such messages must not be able to fill a log with lines. */
const REPORT_PAUSE_MS = 60_000;

/** Tells of so many associations of a port, aborted for that reason. */
export type ReportAborted = (port: number, flows: number, reason: AbortReason) => void;

interface Aborted {
  reportedAt: number;
  /** Since then. */
  flows: number;
}

export class SctpForwarder extends Connections {
  override readonly drops: Record<Drop, number> = {
    oversized: 0,
    stream: 0,
    memory: 0,
    incomplete: 0,
    late: 0,
  };
  readonly #shared: Shared = {
    slabs: new SlabPool(SLAB_BYTES, WARM_SLABS),
    messages: new Messages(),
    heldBytes: 0,
    dropped: (port, reason) => this.#dropped(port, reason),
  };
  readonly #report: ReportAborted;
  readonly #aborted = new Map<AbortReason, Aborted>();

  constructor(reactor: Reactor, watchers: Watchers, report: ReportAborted) {
    super(reactor, new SctpSources(watchers), watchers);
    this.#report = report;
  }

  override newPump(port: PublishedPort, tally: Tally): SctpPump {
    return new SctpPump(this.#shared, port, tally);
  }

  override connectTo(server: Uint8Array, source: Uint8Array | undefined, clientFd: number): number {
    return connectTo(server, source, clientFd);
  }

  override unacknowledged(fd: number): number {
    return unacknowledged(fd);
  }

  #dropped(port: PublishedPort, reason: Drop): void {
    this.drops[reason]++;
    port.counters.drop(reason);
    if (isAbort(reason)) this.#reportAborted(port.id, reason);
  }

  #reportAborted(port: number, reason: AbortReason): void {
    const now = performance.now();
    const known = this.#aborted.get(reason);
    if (known !== undefined && now - known.reportedAt < REPORT_PAUSE_MS) {
      known.flows++;
      return;
    }
    this.#aborted.set(reason, { reportedAt: now, flows: 0 });
    this.#report(port, (known?.flows ?? 0) + 1, reason);
  }
}

function isAbort(reason: Drop): reason is AbortReason {
  return ABORTS.has(reason);
}
