/** What forwards one transport protocol: TCP, UDP or SCTP. */

import type { Fd } from '../msg/fd.js';
import type { TransportStats } from '../msg/stats.js';
import type { SourceAddresses } from './source.js';
import type { Targets } from './targets.js';

export interface Forwarder {
  readonly sources: SourceAddresses;
  /**
   * Owns the host's sockets from now on, and forwards what comes in by them. Throws, with the
   * sockets closed, when one of them won't do.
   */
  addPort(id: number, targets: Targets, sockets: readonly Fd[]): ForwardedPort;
  stats(): TransportStats;
}

export interface ForwardedPort {
  /**
   * Closes the host's sockets at once: whoever asked may bind the address as soon as it hears.
   * Flows that exist go on until they end.
   */
  close(): void;
}
