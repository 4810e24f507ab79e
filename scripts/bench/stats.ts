export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

/** `undefined` without samples. */
export function summarize(samples: readonly number[]): Summary | undefined {
  const sorted = samples.toSorted((a, b) => a - b);
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (min === undefined || max === undefined) {
    return undefined;
  }
  return { median: quantile(sorted, 0.5), min, max, count: sorted.length };
}

/** Half of the range, in percent of the median. */
export function spreadPercent(summary: Summary): number {
  return summary.median === 0 ? 0 : (100 * (summary.max - summary.min)) / 2 / summary.median;
}

/** `share` from 0 to 1, linear between the two nearest samples; `sorted` is not empty. */
export function quantile(sorted: readonly number[], share: number): number {
  const position = (sorted.length - 1) * share;
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  const above = sorted[Math.ceil(position)] ?? Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}
