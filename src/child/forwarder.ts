/** What forwards one transport protocol: TCP, UDP or SCTP. */

import type { Fd } from '../msg/fd.js';
import type { TransportStats } from '../msg/stats.js';
import type { PortCounters } from './counters.js';
import type { Observable } from './observed.js';
import type { SourceAddresses } from './source.js';
import type { Targets } from './targets.js';

/** What a forwarder is given of a port beside its sockets. */
export interface PublishedPort {
  readonly id: number;
  readonly targets: Targets;
  readonly counters: PortCounters;
}

export interface Forwarder {
  readonly sources: SourceAddresses;
  /**
   * Owns the host's sockets from now on, and forwards what comes in by them. Throws, with the
   * sockets closed, when one of them won't do.
   */
  addPort(port: PublishedPort, sockets: readonly Fd[]): ForwardedPort;
  stats(): TransportStats;
  /** Those of the port with that id, which may be gone. */
  flowsOf(id: number): readonly Observable[];
}

export interface ForwardedPort {
  /**
   * Closes the host's sockets at once: whoever asked may bind the address as soon as it hears.
   * Flows that exist go on until they end.
   */
  close(): void;
  /** Resets the flows that are not open yet: their server may be another one's soon. */
  abandon(): void;
  /** Datagrams that the kernel dropped because a queue of the host's sockets was full. */
  readonly queueDrops: number;
}
