/** What one benchmark compares, and what it should show. */
import type { Measurement } from '../measure/measurement.js';
import type { Peer } from '../peers/peer.js';

export type Goal = { readonly metric: string } & (RatioBound | { readonly alwaysZero: true });

/** On the subject's median divided by the baseline's. */
export type RatioBound = { readonly atLeast: number } | { readonly atMost: number };

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
  /** Printed below the table: what its reader has to know. */
  readonly remark: string;
}
