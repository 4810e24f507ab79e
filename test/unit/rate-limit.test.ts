import { expect, it } from 'vitest';
import { RateLimit } from '../../src/parent/log/rate-limit.js';
import { until } from '../harness/wait.js';

it('what was held back is told at the end of the period, and the next one starts anew', async () => {
  const told: [string, number][] = [];
  const limit = new RateLimit<'a' | 'b'>((kind, lines) => told.push([kind, lines]), 50);
  const admitted = Array.from({ length: 13 }, () => limit.admits('a')).filter(Boolean);
  expect(admitted).toHaveLength(10);
  expect(limit.admits('b')).toBe(true);
  await until(() => told.length > 0, 5000, 'the end of the period');
  expect(told).toEqual([['a', 3]]);
  expect(limit.admits('a')).toBe(true);
});
