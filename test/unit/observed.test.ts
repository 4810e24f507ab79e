import { describe, expect, it } from 'vitest';
import { busiest, flowStats, type Observed } from '../../src/child/observed.js';
import { encodeSockAddr } from '../../src/msg/sockaddr.js';

const flowsOf = (...bytes: readonly number[]) =>
  bytes.map((moved) => ({ bytes: moved, observe: () => expect.unreachable() }));
const bytesOf = (flows: readonly { readonly bytes: number }[]) => flows.map(({ bytes }) => bytes);

describe('the busiest flows', () => {
  it('are all where there are not too many', () => {
    const flows = flowsOf(3, 1, 2);
    expect(busiest(flows, 3)).toBe(flows);
    expect(busiest([], 1)).toEqual([]);
  });

  it('are those that have moved the most bytes, and none is looked at for that', () => {
    const flows = flowsOf(5, 1, 2 ** 40, 0, 7);
    expect(bytesOf(busiest(flows, 2)).toSorted((a, b) => a - b)).toEqual([7, 2 ** 40]);
    expect(bytesOf(busiest(flows, 1))).toEqual([2 ** 40]);
  });

  it('are no more than that where many have moved as much: the newest of these', () => {
    const flows = flowsOf(0, 4, 4, 9, 4, 1);
    expect(busiest(flows, 3)).toEqual([flows[3], flows[2], flows[4]]);
    expect(busiest(flowsOf(0, 0, 0), 2)).toHaveLength(2);
  });
});

const observed: Observed = {
  id: 1,
  client: encodeSockAddr({ ip: '::1', port: 4 }),
  server: undefined,
  state: 'dialling',
  startedAt: 1000.4,
  activeAt: 3000.2,
  bytesIn: 1,
  bytesOut: 2,
  packetsIn: 3,
  packetsOut: 4,
};

const told = (now: number) => flowStats({ bytes: 3, observe: () => observed }, now);

describe('a flow', () => {
  it('is told of with whole milliseconds, none of them below nothing', () => {
    expect(told(5000)).toEqual({
      id: 1,
      client: { ip: '::1', port: 4 },
      state: 'dialling',
      ageMs: 4000,
      idleMs: 2000,
      bytesIn: 1,
      bytesOut: 2,
      packetsIn: 3,
      packetsOut: 4,
    });
    expect(told(500)).toMatchObject({ ageMs: 0, idleMs: 0 });
  });
});
