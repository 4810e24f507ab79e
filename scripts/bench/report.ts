/** The table and the goals, as text. */
import type { Metric } from './measure/measurement.js';
import type { Results } from './rounds.js';
import { type Summary, spreadPercent, summarize } from './stats.js';
import type { LossGoal, MetricGoal, RatioBound, Suite } from './suites/suite.js';

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

/** One line for each goal whose metrics are measured. */
export function goalLines(suite: Suite, metrics: readonly Metric[], results: Summaries): string[] {
  const isMeasured = (id: string): boolean => metrics.some((metric) => metric.id === id);
  return suite.goals.flatMap((goal) => {
    if ('ladder' in goal) {
      return goal.ladder.every(isMeasured) ? [lossLine(suite, goal, metrics, results)] : [];
    }
    return isMeasured(goal.metric) ? [goalLine(suite, goal, metrics, results)] : [];
  });
}

function goalLine(
  suite: Suite,
  goal: MetricGoal,
  metrics: readonly Metric[],
  results: Summaries,
): string {
  const { subject, baseline } = { ...suite, ...goal };
  const metric = metrics.find(({ id }) => id === goal.metric);
  const ours = results[goal.metric]?.[subject];
  const theirs = results[goal.metric]?.[baseline];
  const label = metric?.label ?? goal.metric;
  const unit = metric?.unit ?? '';
  if ('alwaysZero' in goal) {
    return zeroLine(`goal ${label}, always 0 ${unit}`, ours);
  }
  const wanted = `goal ${label}, ${bound(goal)} ${baseline}'s`;
  if (ours === undefined || theirs === undefined) {
    return `${wanted}: not measured`;
  }
  const ratio = ratioOf(ours, theirs);
  const reached = 'atLeast' in goal ? ratio >= goal.atLeast : ratio <= goal.atMost;
  const figures = `${figure(ours.median)} against ${figure(theirs.median)} ${unit}`;
  return `${wanted}: ${verdict(reached)}, ${ratio.toFixed(2)}x (${figures})`;
}

function lossLine(
  suite: Suite,
  { ladder, reference, referencePercent, percent, subject = suite.subject }: LossGoal,
  metrics: readonly Metric[],
  results: Summaries,
): string {
  const wanted = `goal ${subject} loses less than ${percent} % at half the rate that ${reference} stands`;
  const stands = ladder.findLastIndex((id) => {
    const summary = results[id]?.[reference];
    return summary !== undefined && summary.median < referencePercent;
  });
  const id = ladder[stands - 1];
  const ours = results[id ?? '']?.[subject];
  if (ours === undefined) {
    return `${wanted}: not measured`;
  }
  const label = metrics.find((metric) => metric.id === id)?.label;
  return `${wanted}: ${verdict(ours.median < percent)} (${figure(ours.median)} % ${label})`;
}

function zeroLine(wanted: string, ours: Summary | undefined): string {
  return ours === undefined
    ? `${wanted}: not measured`
    : `${wanted}: ${verdict(ours.max === 0)} (most seen: ${figure(ours.max)})`;
}

function verdict(reached: boolean): string {
  return reached ? 'reached' : 'NOT reached';
}

function bound(goal: RatioBound): string {
  return 'atLeast' in goal
    ? `at least ${goal.atLeast.toFixed(1)}x`
    : `at most ${goal.atMost.toFixed(1)}x`;
}

function ratioOf(ours: Summary, theirs: Summary): number {
  return ours.median / theirs.median;
}

/** 17400, 17.4, 0.174: whole numbers in full, fractions to three digits. */
function figure(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(SIGNIFICANT_DIGITS);
}

function mapValues<A, B>(record: Record<string, A>, map: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
