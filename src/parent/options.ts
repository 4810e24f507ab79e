/** What a driver is told: see driver.ts. */

import type { UdpTimeouts } from '../msg/udp-timeouts.js';
import type { AgentOptions } from './agent.js';
import type { SourceIP } from './agent-place.js';
import type { EventSink } from './events/event.js';
import type { PortKeeper } from './ports.js';
import type { HeldPorts } from './resume.js';

export interface DriverOptions extends Pick<AgentOptions, 'early'> {
  /**
   * Servers see the client's own address: `keep`, wherever that can work; `require`, or the flow is
   * refused; `off`, never. Default: keep.
   */
  readonly sourceIP?: SourceIP;
  /** False is another word for `off`. Default: true. */
  readonly sourceIPTransparent?: boolean;
  /** Which ChildHostIP engines are told to use. Default: loopback. */
  readonly childHostIP?: 'loopback' | 'tap';
  /** Of UDP sessions. Default: 30 s until the first answer, then 180 s. */
  readonly udpTimeouts?: Partial<UdpTimeouts>;
  /** How many agents forward, 1 to 64. Default: one for four cores, 8 at most. */
  readonly agents?: number;
  /** The most flows at a time, of all ports together and of each; 1 or more. Default: no limit. */
  readonly maxFlows?: number;
  readonly maxFlowsPerPort?: number;
  /** Where the ports are noted for a later parent; without it they are not. */
  readonly stateDir?: string;
  /** Agents that run already are replaced, and have so long to finish their flows. */
  readonly replaceWithinMs?: number;
  /** Keeps sockets beyond the end of this driver, beside the agents. */
  readonly keeper?: PortKeeper;
  /** What a keeper has from an earlier driver; the driver's from now on. */
  readonly held?: HeldPorts;
  /** Told of everything that happens; must not throw. */
  readonly onEvent?: EventSink;
}
