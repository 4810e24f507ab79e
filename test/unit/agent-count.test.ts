import { describe, expect, it } from 'vitest';
import { agentCount, limitsOf } from '../../src/parent/agent-count.js';

describe('the number of agents', () => {
  it.each([
    [1, 1],
    [2, 1],
    [7, 1],
    [8, 2],
    [16, 4],
    [64, 8],
    [256, 8],
  ])('is, with %d cores, %d by default', (cores, count) => {
    expect(agentCount({}, cores)).toBe(count);
  });

  it.each([
    [{ maxFlows: 100 }, 1],
    [{ maxFlows: 2999 }, 2],
    [{ maxFlows: 2999, maxFlowsPerPort: 10 }, 1],
    [{ maxFlowsPerPort: 1_000_000 }, 8],
  ])('is, under the limits %j and with many cores, %d by default', (limits, count) => {
    expect(agentCount(limits, 64)).toBe(count);
  });

  it('is what is wanted, but no more than there may be flows', () => {
    expect(agentCount({ agents: 64 }, 1)).toBe(64);
    expect(agentCount({ agents: 4, maxFlows: 100 }, 64)).toBe(4);
    expect(agentCount({ agents: 4, maxFlows: 3 }, 64)).toBe(3);
    expect(agentCount({ agents: 4, maxFlowsPerPort: 1, maxFlows: 3 }, 64)).toBe(1);
  });
});

describe('limits of flows', () => {
  it.each([1, 2, 3, 8])('of %d agents make up those of all', (count) => {
    const shares = Array.from({ length: count }, (_, slot) =>
      limitsOf({ maxFlows: 1000, maxFlowsPerPort: 17 }, count, slot),
    );
    const total = (key: keyof (typeof shares)[number]) =>
      shares.reduce((sum, limits) => sum + limits[key], 0);
    expect(total('maxFlows')).toBe(1000);
    expect(total('maxFlowsPerSharedPort')).toBe(17);
    expect(shares.every(({ maxFlows }) => maxFlows >= Math.floor(1000 / count))).toBe(true);
    // A port that one agent has alone has all of it.
    expect(shares.every(({ maxFlowsPerPort }) => maxFlowsPerPort === 17)).toBe(true);
  });

  it('that nobody has set are none', () => {
    const none = { maxFlows: 0, maxFlowsPerPort: 0, maxFlowsPerSharedPort: 0, agents: 3 };
    expect([0, 1, 2].map((slot) => limitsOf({}, 3, slot))).toEqual([none, none, none]);
  });
});
