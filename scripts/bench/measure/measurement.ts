/** One thing to measure through a running peer. */
import type { CommandLine } from '../command.js';
import type { RunningPeer } from '../peers/peer.js';

/** A row of the report: one sample from each turn, a number where it has a unit, else a text. */
export interface Metric {
  readonly id: string;
  readonly label: string;
  readonly unit?: string;
  readonly better?: 'more' | 'less';
}

export type Sample = number | string;

export interface MeasureContext {
  /** A whole number: iperf3 and wrk take no fractions. */
  readonly seconds: number;
  /** One round to show that it works: large numbers may be left out. */
  readonly quick: boolean;
  /** The turn's own. */
  readonly folder: string;
  readonly signal: AbortSignal;
  /** Runs a client where the peer's clients run, or behind `enter`; notes its command line. */
  client(command: CommandLine, enter?: readonly string[]): Promise<string>;
}

export interface Measurement {
  /** For --only. */
  readonly name: string;
  readonly metrics: readonly Metric[];
  /** In the first round only: it shows the same every time. */
  readonly once?: true;
  /** With a peer that has done nothing yet: it has a turn of its own. */
  readonly apart?: true;
  /** Samples by metric id; a metric that makes no sense for a peer is left out. */
  take(peer: RunningPeer, context: MeasureContext): Promise<Record<string, Sample>>;
}

/** Field `key` of parsed JSON; `undefined` where there is none. */
export function field(value: unknown, ...keys: readonly string[]): unknown {
  return keys.reduce<unknown>(
    (inner, key) =>
      typeof inner === 'object' && inner !== null ? Reflect.get(inner, key) : undefined,
    value,
  );
}
