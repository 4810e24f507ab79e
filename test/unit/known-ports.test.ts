import { expect, it } from 'vitest';
import { KnownPorts } from '../../src/parent/known-ports.js';

const source = (lastId: number, ...ids: number[]) => ({ lastId, ports: ids.map((id) => ({ id })) });

it('a port is gone once one who knew of its id does not know it any more', () => {
  const known = new KnownPorts(source(5, 1, 3, 5), source(4, 1, 3, 4));
  expect([1, 2, 3, 4, 5].map((id) => known.wasRemoved(id))).toEqual([
    false,
    true,
    false,
    true,
    false,
  ]);
});

it('a port that is newer than all that they know was not removed', () => {
  expect(new KnownPorts(source(2, 1), source(0)).wasRemoved(3)).toBe(false);
});

it('ids go on above the highest one that anybody knows', () => {
  expect(new KnownPorts(source(2, 1), undefined, source(7)).lastId).toBe(7);
});

it('nobody who knows anything removes nothing', () => {
  const known = new KnownPorts(undefined, undefined);
  expect([known.lastId, known.wasRemoved(1)]).toEqual([0, false]);
});
