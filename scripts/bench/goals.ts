/** What a suite should show, and whether it does. */
import type { Metric } from './measure/measurement.js';
import { type Summaries, figure, ratioOf } from './report.js';
import type { Summary } from './stats.js';
import type { Bound, LossGoal, MetricGoal, Suite } from './suites/suite.js';

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
  const label = metric?.label ?? goal.metric;
  const unit = metric?.unit ?? '';
  const wanted = `goal ${label}, ${wordsOf(goal, unit)}${isCompared(goal) ? ` ${baseline}'s` : ''}`;
  const ours = results[goal.metric]?.[subject];
  const theirs = isCompared(goal) ? results[goal.metric]?.[baseline] : ours;
  if (ours === undefined || theirs === undefined) return `${wanted}: not measured`;
  const figures = isCompared(goal)
    ? `${comparison(goal, ours, theirs, unit)} (${figure(ours.median)} against ${figure(theirs.median)} ${unit})`
    : `${figure(ours.median)}, at most ${figure(ours.max)} ${unit} (${subject})`;
  return `${wanted}: ${verdict(isReached(goal, ours, theirs))}, ${figures}`;
}

function comparison(bound: Bound, ours: Summary, theirs: Summary, unit: string): string {
  return 'atMostMore' in bound
    ? `${figure(ours.median - theirs.median)} ${unit} more`
    : `${ratioOf(ours, theirs).toFixed(2)}x`;
}

function isCompared(bound: Bound): boolean {
  return !('below' in bound || 'alwaysZero' in bound);
}

function wordsOf(bound: Bound, unit: string): string {
  if ('atLeast' in bound) return `at least ${bound.atLeast}x`;
  if ('atMost' in bound) return `at most ${bound.atMost}x`;
  if ('atMostMore' in bound) return `at most ${bound.atMostMore} ${unit} more than`;
  return 'below' in bound ? `below ${bound.below} ${unit}` : `always 0 ${unit}`;
}

function isReached(bound: Bound, ours: Summary, theirs: Summary): boolean {
  if ('atLeast' in bound) return ratioOf(ours, theirs) >= bound.atLeast;
  if ('atMost' in bound) return ratioOf(ours, theirs) <= bound.atMost;
  if ('atMostMore' in bound) return ours.median - theirs.median <= bound.atMostMore;
  return 'below' in bound ? ours.median < bound.below : ours.max === 0;
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

function verdict(reached: boolean): string {
  return reached ? 'reached' : 'NOT reached';
}
