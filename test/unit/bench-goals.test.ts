import { expect, it } from 'vitest';
import { goalLines } from '../../scripts/bench/goals.js';
import { summarize } from '../../scripts/bench/stats.js';
import type { Bound, Suite } from '../../scripts/bench/suites/suite.js';

const METRIC = { id: 'speed', label: 'speed', unit: 'ms' };

/** Of a suite whose subject took 20, 30 and 60 ms, and its baseline as given. */
function lineOf(bound: Bound, baseline: readonly number[] = [10]): string {
  const suite: Suite = {
    name: 'suite',
    peers: [],
    measurements: [],
    subject: 'ours',
    baseline: 'theirs',
    goals: [{ metric: METRIC.id, ...bound }],
    plots: [],
    remark: '',
  };
  const [ours, theirs] = [summarize([60, 20, 30]), summarize(baseline)];
  const summaries = { speed: { ...(ours && { ours }), ...(theirs && { theirs }) } };
  return goalLines(suite, [METRIC], summaries).join('\n');
}

it.each([
  [{ atLeast: 3 }, "at least 3x theirs's: reached, 3.00x (30.0 against 10.0 ms)"],
  [{ atLeast: 3.25 }, "at least 3.25x theirs's: NOT reached, 3.00x (30.0 against 10.0 ms)"],
  [{ atMost: 3 }, "at most 3x theirs's: reached, 3.00x (30.0 against 10.0 ms)"],
  [{ atMost: 0.5 }, "at most 0.5x theirs's: NOT reached, 3.00x (30.0 against 10.0 ms)"],
  [
    { atMostMore: 20 },
    "at most 20 ms more than theirs's: reached, 20.0 ms more (30.0 against 10.0 ms)",
  ],
  [
    { atMostMore: 19 },
    "at most 19 ms more than theirs's: NOT reached, 20.0 ms more (30.0 against 10.0 ms)",
  ],
  [{ below: 31 }, 'below 31 ms: reached, 30.0, at most 60.0 ms (ours)'],
  [{ below: 30 }, 'below 30 ms: NOT reached, 30.0, at most 60.0 ms (ours)'],
  [{ alwaysZero: true as const }, 'always 0 ms: NOT reached, 30.0, at most 60.0 ms (ours)'],
])('a goal of %o says what was measured, and whether it is reached', (bound, words) => {
  expect(lineOf(bound)).toBe(`goal speed, ${words}`);
});

it('a goal that lacks the peer that it refers to is not measured', () => {
  expect(lineOf({ atLeast: 3 }, [])).toBe("goal speed, at least 3x theirs's: not measured");
  expect(lineOf({ below: 31 }, [])).toContain('reached, 30.0');
});
