import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  Deadlines,
  type Expiring,
  msUntil,
  ticksAt,
  timeOfTicks,
  wrappedMs,
} from '../../src/child/deadlines.js';

const DAY_MS = 86_400_000;
/** Whole numbers beyond it are objects of their own in V8. */
const MAX_SMALL = 2 ** 31 - 1;
/** Of an agent: young, before and after 24.8 days, before and after 49.7 days, and years. */
const AGES_MS = [1000, 2 ** 31 - 1000, 2 ** 31 + 1000, 2 ** 32 - 1000, 2 ** 32 + 1, 4000 * DAY_MS];

const isSmall = (value: number) => Number.isInteger(value) && Math.abs(value) <= MAX_SMALL;
const agentIsOld = (ms: number) => vi.spyOn(performance, 'now').mockReturnValue(ms);

afterEach(() => vi.restoreAllMocks());

describe.each(AGES_MS)('in an agent that is %d ms old', (age) => {
  it('a deadline is kept in the object itself, and is due when it should be', () => {
    agentIsOld(age + 0.4);
    const expired: Expiring[] = [];
    const deadlines = new Deadlines<Expiring>(10_000, (entry) => expired.push(entry));
    const entry = { deadline: 0 };
    deadlines.set(entry);
    expect(isSmall(entry.deadline)).toBe(true);
    expect(deadlines.nextMs(age + 0.4)).toBe(10_001);
    expect(deadlines.nextMs(age + 9_999.4)).toBe(2);
    expect(deadlines.nextMs(age + 70_000)).toBe(0);
    deadlines.expire(age + 10_000);
    expect(expired).toEqual([]);
    deadlines.expire(age + 10_001);
    expect(expired).toEqual([entry]);
    expect(deadlines.nextMs(age)).toBe(-1);
  });

  it('the time when a deadline was set can be told', () => {
    agentIsOld(age);
    const deadlines = new Deadlines<Expiring>(DAY_MS, () => {});
    const entry = { deadline: 0 };
    deadlines.set(entry);
    agentIsOld(age + DAY_MS - 1);
    expect(deadlines.setAt(entry)).toBe(age);
  });

  it('times of a flow fit into the flow, and its age is right for two years', () => {
    const ticks = ticksAt(age);
    expect(isSmall(ticks)).toBe(true);
    expect(isSmall(wrappedMs(age + 0.5))).toBe(true);
    expect(msUntil(wrappedMs(age + 500), age)).toBe(500);
    for (const lived of [0, 15, 2 ** 31, 2 ** 32, 700 * DAY_MS]) {
      const error = age - timeOfTicks(ticks, age + lived);
      expect(error).toBeGreaterThanOrEqual(0);
      expect(error).toBeLessThan(16);
    }
  });
});
