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

interface PlaceOptions {
  readonly sourceIPTransparent?: boolean;
  readonly udpTimeouts?: Partial<UdpTimeouts>;
}

/** For a driver with these options. */
export function placeIn(
  child: ChildContext,
  { sourceIPTransparent = true, udpTimeouts }: PlaceOptions,
): AgentPlace {
  return {
    child,
    bearsClients: sourceIPTransparent,
    udpTimeouts: { ...DEFAULT_UDP_TIMEOUTS, ...udpTimeouts },
  };
}
