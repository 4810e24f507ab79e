/** What a suite has drawn of its results. */
export type Plot = BarPlot | LinePlot;

/** A panel for each metric, with a bar for each peer. */
export interface BarPlot {
  /** Of its file, behind the suite's. */
  readonly name: string;
  readonly title: string;
  /** Their ids. */
  readonly bars: readonly string[];
}

/** How a metric grows, with a line for each peer; both axes are logarithmic. */
export interface LinePlot {
  readonly name: string;
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /** From left to right. */
  readonly points: readonly { readonly x: number; readonly metric: string }[];
}
