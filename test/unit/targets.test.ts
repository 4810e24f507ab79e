import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Deadlines } from '../../src/child/deadlines.js';
import { Targets } from '../../src/child/targets.js';
import { encodeSockAddr } from '../../src/msg/sockaddr.js';

const CONTAINER = { ip: '172.17.0.2', port: 53 };
const OTHER = { ip: '172.17.0.3', port: 53 };
const OWN = encodeSockAddr({ ip: '127.0.0.1', port: 8053 });
const SECOND_MS = 1000;

const flow = { connect: () => {} };

function started() {
  let questions = 0;
  const ask = () => ++questions > 0;
  const targets = new Targets(
    [OWN],
    { mayHaveRule: true, isEngines: false },
    ask,
    new Deadlines<Targets>(SECOND_MS, () => {}),
  );
  const answer = (...addresses: readonly { ip: string; port: number }[]) =>
    targets.answered({ targets: addresses, isProxied: true, isDualStack: false });
  targets.addressesFor(flow);
  answer(CONTAINER);
  return { targets, answer, asked: () => questions };
}

describe('the target of a port', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance'] });
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  it('that says nothing is asked about at pauses that double up to a minute', () => {
    const { targets, answer, asked } = started();
    const at: number[] = [];
    for (let second = 1; second <= 600; second++) {
      vi.advanceTimersByTime(SECOND_MS);
      const before = asked();
      targets.silent(encodeSockAddr(CONTAINER));
      if (asked() === before) continue;
      at.push(second);
      answer(CONTAINER);
    }
    const pauses = at.map((second, index) => second - (at[index - 1] ?? 0));
    expect(pauses.slice(0, 4)).toEqual([2, 3, 5, 9]);
    expect(Math.max(...pauses)).toBe(61);
    expect(targets.generation).toBe(1);
  });

  it('that no rule names is asked about again while its flows go on, and no more once one does', () => {
    const { targets, answer, asked } = started();
    answer();
    const before = asked();
    targets.goesOn(performance.now());
    expect(asked()).toBe(before);
    vi.advanceTimersByTime(SECOND_MS);
    targets.goesOn(performance.now());
    targets.goesOn(performance.now());
    expect(asked()).toBe(before + 1);
    answer(CONTAINER);
    vi.advanceTimersByTime(600 * SECOND_MS);
    targets.goesOn(performance.now());
    expect(asked()).toBe(before + 1);
  });

  it('that has changed is another generation, and is asked about soon again', () => {
    const { targets, answer, asked } = started();
    for (let round = 0; round < 5; round++) answer(CONTAINER);
    answer(OTHER);
    expect(targets.generation).toBe(2);
    expect([CONTAINER, OTHER].map((one) => targets.has(encodeSockAddr(one)))).toEqual([
      false,
      true,
    ]);
    const before = asked();
    targets.silent(encodeSockAddr(OTHER));
    vi.advanceTimersByTime(SECOND_MS);
    targets.silent(encodeSockAddr(OTHER));
    expect(asked()).toBe(before + 1);
  });

  it('is not asked about for a flow that goes elsewhere', () => {
    const { targets, asked } = started();
    for (let round = 0; round < 100; round++) {
      targets.silent(OWN);
      vi.advanceTimersByTime(SECOND_MS);
    }
    expect(asked()).toBe(1);
  });
});
