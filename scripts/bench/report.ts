/** The table, as text. */
import type { Metric } from './measure/measurement.js';
import type { Results } from './rounds.js';
import { type Summary, spreadPercent, summarize } from './stats.js';

const SIGNIFICANT_DIGITS = 3;

export type Summaries = Record<string, Record<string, Summary>>;

/** By metric id, then by peer. */
export function summaries({ samples }: Results): Summaries {
  return mapValues(samples, (byPeer) =>
    mapValues(byPeer, (values) => summarize(values) ?? { median: 0, min: 0, max: 0, count: 0 }),
  );
}

/** A Markdown table: one row for each metric, one column for each peer. */
export function table(
  metrics: readonly Metric[],
  peerNames: readonly string[],
  { summary, texts }: { summary: Summaries; texts: Results['texts'] },
  baseline: string,
): string {
  const rows = metrics.map(({ id, label, unit }) => [
    unit === undefined ? label : `${label}, ${unit}`,
    ...peerNames.map((name) =>
      unit === undefined
        ? (texts[id]?.[name]?.join(' or ') ?? '-')
        : cell(summary[id]?.[name], summary[id]?.[baseline]),
    ),
  ]);
  const lines = [['median ±spread (ratio)', ...peerNames], ...rows];
  const widths = lines[0]?.map((_, column) => {
    return Math.max(...lines.map((line) => line[column]?.length ?? 0));
  });
  const text = lines.map((line) => {
    const cells = line.map((value, column) => value.padEnd(widths?.[column] ?? 0));
    return `| ${cells.join(' | ')} |`;
  });
  const rule = `| ${widths?.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return [text[0], rule, ...text.slice(1)].join('\n');
}

function cell(summary: Summary | undefined, baseline: Summary | undefined): string {
  if (summary === undefined) {
    return '-';
  }
  const spread = summary.count > 1 ? ` ±${spreadPercent(summary).toFixed(0)}%` : '';
  // A share of nothing has no meaning.
  const comparable = baseline !== undefined && baseline.median !== 0;
  const ratio = comparable ? ` (${ratioOf(summary, baseline).toFixed(2)}x)` : '';
  return `${figure(summary.median)}${spread}${ratio}`;
}

export function ratioOf(ours: Summary, theirs: Summary): number {
  return ours.median / theirs.median;
}

/** 17400, 17.4, 0.174: whole numbers in full, fractions to three digits. */
export function figure(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(SIGNIFICANT_DIGITS);
}

function mapValues<A, B>(record: Record<string, A>, map: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
