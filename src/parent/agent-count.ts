/** How many agents there are, and what each of them may take on. */

import { availableParallelism } from 'node:os';
import type { FlowLimits } from '../msg/overload.js';

export const MAX_AGENTS = 64;
/** The others are for the ends of the flows, which cost as much as the way between them. */
const CORES_PER_AGENT = 4;
const MOST_BY_DEFAULT = 8;
/**
 * Connections end as they like, so that some agents have more of them than others and reach their
 * share of a limit first: one of so many flows is nearly used up by then.
 */
const LEAST_SHARE = 1000;

export interface Wanted {
  /** 1 to MAX_AGENTS. */
  readonly agents?: number;
  readonly maxFlows?: number;
  readonly maxFlowsPerPort?: number;
}

/** No more than there may be flows. Where nobody says it, what the cores and the limits are good for. */
export function agentCount(
  { agents, maxFlows = Infinity, maxFlowsPerPort = Infinity }: Wanted,
  cores = availableParallelism(),
): number {
  const limit = Math.min(maxFlows, maxFlowsPerPort);
  if (agents !== undefined) return Math.min(agents, limit);
  const most = Math.min(cores / CORES_PER_AGENT, limit / LEAST_SHARE, MOST_BY_DEFAULT);
  return Math.max(1, Math.floor(most));
}

/** Of the agent in that slot: the shares of all of them make up the limits exactly. */
export function limitsOf(
  { maxFlows = 0, maxFlowsPerPort = 0 }: Wanted,
  count: number,
  slot: number,
): FlowLimits {
  const share = (limit: number) => Math.floor((limit + count - 1 - slot) / count);
  return {
    maxFlows: share(maxFlows),
    maxFlowsPerPort,
    maxFlowsPerSharedPort: share(maxFlowsPerPort),
    agents: count,
  };
}
