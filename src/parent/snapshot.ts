/** How a driver stands at one moment: what its metrics and its live view are made of. */

import type { AgentInfo, SourceIPInfo, Spec } from '../msg/port.js';
import type { Flows, FlowStats } from '../msg/flows.js';
import type { PortStats } from '../msg/port-stats.js';
import type { Address } from '../msg/sockaddr.js';
import type { TransportStats } from '../msg/stats.js';
import type { ProcessLoad } from './process-load.js';

export interface PortSnapshot {
  readonly id: number;
  readonly spec: Spec;
  /** Where the last flow went, behind the engine's rules; absent before the serving agent's first. */
  readonly server?: Address;
  /** Absent while no agent has had the port. */
  readonly stats?: PortStats;
}

export type AgentSnapshot = AgentInfo & ProcessLoad;

/** Counters are of all agents since the driver's start, or since it took over agents that ran. */
export interface Snapshot {
  readonly ports: readonly PortSnapshot[];
  readonly agents: readonly AgentSnapshot[];
  /** Since the driver's start. */
  readonly agentRestarts: number;
  /** Pipes that agents hold for splicing, idle ones included. */
  readonly pipes: number;
  /** For which protocols servers see the client's own address. */
  readonly sourceIP: SourceIPInfo;
  /** By protocol; empty while there is no agent. */
  readonly transports: Readonly<Partial<Record<string, TransportStats>>>;
}

export interface PortFlow extends FlowStats {
  /** The process that has it. */
  readonly agent: number;
}

/** Of one port, the one that has moved the most bytes first. */
export type PortFlows = Flows<PortFlow>;
