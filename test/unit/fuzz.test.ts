/** A short run of `npm run fuzz`. */
import { expect, test } from 'vitest';
import { readCorpus } from '../fuzz/corpus.js';
import { TARGETS } from '../fuzz/targets.js';

const CASES = 1000;
const seed = Date.now() % 2 ** 31;

test.each(TARGETS)('$name takes or refuses whatever comes', async (target) => {
  for (const { target: name, seed: kept, path } of readCorpus()) {
    if (name !== target.name) continue;
    expect(await target.check({ seed: kept, cases: 1, path })).toBeUndefined();
  }
  expect(await target.check({ seed, cases: CASES })).toBeUndefined();
});

test('a target that fails tells the seed and the path to the input', async () => {
  const { targetOf, must } = await import('../fuzz/target.js');
  const fc = await import('fast-check');
  const failing = targetOf('numbers', fc.nat(), (number) => must(number < 1000, 'too large'));
  const failure = await failing.check({ seed: 1, cases: CASES });
  expect(failure?.report).toContain('Counterexample: [1000]');
  const again = await failing.check({ seed: 1, cases: 1, path: failure?.path ?? '' });
  expect(again?.report).toContain('Counterexample: [1000]');
});
