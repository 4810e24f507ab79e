/** How much an agent takes on, and why it sheds what is more. */

import { type Fields, integer } from './fields.js';

/** The most flows at a time, of all protocols and with UDP's sessions; 0 stands for no limit. */
export interface FlowLimits {
  readonly maxFlows: number;
  readonly maxFlowsPerPort: number;
  /** Of a port that other agents have, too. */
  readonly maxFlowsPerSharedPort: number;
  /** How many agents share what is their user's, such as pipes; 1 or more. */
  readonly agents: number;
}

export const NO_LIMITS: FlowLimits = {
  maxFlows: 0,
  maxFlowsPerPort: 0,
  maxFlowsPerSharedPort: 0,
  agents: 1,
};

/**
 * Out of the agent's own file descriptors (`files`) or the system's (`systemFiles`), of `memory`, or
 * of the epoll `watches` of its user; or a limit of FlowLimits is reached, or that of UDP `sessions`.
 * `backlog` counts no flows, but how often those that wait in a backlog could be neither taken nor
 * refused.
 */
export const SHED_REASONS = [
  'files',
  'systemFiles',
  'memory',
  'watches',
  'maxFlows',
  'maxFlowsPerPort',
  'sessions',
  'backlog',
] as const;

export type ShedReason = (typeof SHED_REASONS)[number];

export type ShedCounts = Readonly<Record<ShedReason, number>>;

export function parseFlowLimits(fields: Fields): FlowLimits {
  return {
    maxFlows: integer(fields, 'maxFlows'),
    maxFlowsPerPort: integer(fields, 'maxFlowsPerPort'),
    maxFlowsPerSharedPort: integer(fields, 'maxFlowsPerSharedPort'),
    agents: integer(fields, 'agents', 1),
  };
}

export function parseShedCounts(fields: Fields): ShedCounts {
  return countByReason((reason) => integer(fields, reason));
}

export function countByReason(count: (reason: ShedReason) => number): Record<ShedReason, number> {
  const entries = SHED_REASONS.map((reason) => [reason, count(reason)]);
  return Object.fromEntries(entries) as Record<ShedReason, number>;
}
