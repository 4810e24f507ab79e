/** What an agent is started for. */

import type { ChildContext } from '../msg/port.js';
import { DEFAULT_UDP_TIMEOUTS, type UdpTimeouts } from '../msg/udp-timeouts.js';

export interface AgentPlace {
  readonly child: ChildContext;
  /** Leaves it the rights to use clients' addresses as its own. */
  readonly bearsClients: boolean;
  /** Of its sessions. */
  readonly udpTimeouts: UdpTimeouts;
}

/** Servers see their clients' own addresses: wherever that can work, or else not at all, or never. */
export type SourceIP = 'keep' | 'require' | 'off';

interface PlaceOptions {
  readonly sourceIP?: SourceIP;
  /** False is another word for `off`. */
  readonly sourceIPTransparent?: boolean;
  readonly udpTimeouts?: Partial<UdpTimeouts>;
}

/** For a driver with these options. */
export function placeIn(
  child: ChildContext,
  { udpTimeouts, ...options }: PlaceOptions,
): AgentPlace {
  return {
    child,
    bearsClients: sourceIPOf(options) !== 'off',
    udpTimeouts: { ...DEFAULT_UDP_TIMEOUTS, ...udpTimeouts },
  };
}

export function sourceIPOf({ sourceIP, sourceIPTransparent = true }: PlaceOptions): SourceIP {
  return sourceIP ?? (sourceIPTransparent ? 'keep' : 'off');
}
