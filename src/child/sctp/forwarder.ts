/** All SCTP ports of the agent. */

import * as sctp from '../../msg/sctp.js';
import { Connections } from '../connections.js';
import type { Overload } from '../overload.js';
import type { Reactor } from '../reactor.js';
import { SlabPool } from '../slabs.js';
import { Messages } from './messages.js';
import { type Drop, SctpPump, type Shared, SLAB_BYTES } from './pump.js';
import { connectTo, unacknowledged } from './sockets.js';
import { SctpSources } from './sources.js';

/** A message may leave 1 MiB of memory in each. */
const WARM_SLABS = 8;

const ABORT_REASONS: Readonly<Partial<Record<Drop, string>>> = {
  oversized:
    `a message was larger than ${sctp.LARGEST_MESSAGE_BYTES / 1024} KiB, or than twice ` +
    'net.core.wmem_max; raise that with sysctl if it is the lower one',
  stream: 'a message came on a stream that the other side did not agree to',
  memory: 'messages that wait for slow receivers take too much memory',
};
/** Whoever sends such messages must not be able to fill a log with lines. */
const REPORT_PAUSE_MS = 60_000;

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
    dropped: (reason) => this.#dropped(reason),
  };
  readonly #reportedAt = new Map<Drop, number>();

  constructor(reactor: Reactor, overload: Overload) {
    super(reactor, new SctpSources(), overload);
  }

  override newPump(): SctpPump {
    return new SctpPump(this.#shared);
  }

  override connectTo(server: Uint8Array, source: Uint8Array | undefined, clientFd: number): number {
    return connectTo(server, source, clientFd);
  }

  override unacknowledged(fd: number): number {
    return unacknowledged(fd);
  }

  #dropped(reason: Drop): void {
    this.drops[reason]++;
    const why = ABORT_REASONS[reason];
    const now = performance.now();
    if (why === undefined || now - (this.#reportedAt.get(reason) ?? -Infinity) < REPORT_PAUSE_MS) {
      return;
    }
    this.#reportedAt.set(reason, now);
    process.stderr.write(
      `sluice: an SCTP association was aborted: ${why} (${this.drops[reason]} since the start)\n`,
    );
  }
}
