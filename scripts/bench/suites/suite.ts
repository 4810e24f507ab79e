/** What one benchmark compares, and what it should show. */
import type { Measurement } from '../measure/measurement.js';
import type { Peer } from '../peers/peer.js';
import type { Plot } from '../plots/plot.js';

export type Goal = MetricGoal | LossGoal;

export type MetricGoal = { readonly metric: string } & Partial<Compared> & Bound;

/** Where a goal is about other peers than its suite. */
export interface Compared {
  readonly subject: string;
  readonly baseline: string;
}

/**
 * The subject loses less than `percent` at half of the highest rate at which the reference loses
 * less than `referencePercent`.
 */
export interface LossGoal {
  /** Metrics of loss in percent, each at twice the rate of the one before. */
  readonly ladder: readonly string[];
  readonly reference: string;
  readonly referencePercent: number;
  readonly percent: number;
  readonly subject?: string;
}

/**
 * On the subject's median divided by the baseline's; on how much more it is than that; on the median
 * itself; or on every sample.
 */
export type Bound =
  | { readonly atLeast: number }
  | { readonly atMost: number }
  | { readonly atMostMore: number }
  | { readonly below: number }
  | { readonly alwaysZero: true };

export interface Suite {
  readonly name: string;
  readonly peers: readonly Peer[];
  /** In the order of a turn. */
  readonly measurements: readonly Measurement[];
  /** The peer that the goals are about. */
  readonly subject: string;
  /** The peer that ratios refer to. */
  readonly baseline: string;
  readonly goals: readonly Goal[];
  readonly plots: readonly Plot[];
  /** Printed below the table: what its reader has to know. */
  readonly remark: string;
}
