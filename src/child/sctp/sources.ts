/**
 * Where an SCTP server can see its client's address: over IPv6, and outside of this namespace.
 *
 * The kernel routes SCTP over IPv4 from its own addresses only, whatever the socket is bound to. And
 * no socket of a server in this namespace takes over the mark that would bring its replies back.
 */

import { AF_INET } from '../../msg/linux.js';
import type { SourceLoss } from '../../msg/source-address.js';
import { SourceAddresses, type SourceWatchers } from '../source.js';

export class SctpSources extends SourceAddresses {
  constructor(watchers: SourceWatchers) {
    super({ reachesLocalServers: false }, watchers);
  }

  override lossFor(client: Uint8Array, server: Uint8Array): SourceLoss | undefined {
    return super.lossFor(client, server) ?? (client[0] === AF_INET ? 'disabled' : undefined);
  }
}
