import { array, assert, boolean, integer, property, tuple } from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Phase } from '../../src/child/udp/group.js';
import { FLOOR_MS, limitsOf } from '../../src/child/udp/limits.js';
import { Pool } from '../../src/child/udp/pool.js';
import { hashOf, SessionTable } from '../../src/child/udp/table.js';

interface Entry {
  readonly key: Int32Array;
  nextOfHash: Entry | undefined;
}

const key = array(integer({ min: 0, max: 3 }), { minLength: 3, maxLength: 3 });

/** Sessions by client and phase, the first one silent for longest; the last is silent for `silentMs`. */
function pool(limit: number, sessions: readonly [string, Phase][], silentMs = 0) {
  const made = new Pool<{ readonly phase: Phase; readonly id: number; activeAt: number }>(limit);
  for (const [id, [client, phase]] of sessions.entries())
    made.add({ phase, id, activeAt: id - sessions.length - silentMs }, client);
  return made;
}

/** As many sessions, each of another client. */
function each(count: number, phase: Phase): [string, Phase][] {
  return Array.from({ length: count }, (_, index) => [`${phase} ${index}`, phase]);
}

function of(client: string, count: number, phase: Phase): [string, Phase][] {
  return Array.from({ length: count }, () => [client, phase]);
}

describe('the table of sessions', () => {
  it('finds what was added and not deleted, like a Map', () => {
    assert(
      property(array(tuple(boolean(), key)), (steps) => {
        const table = new SessionTable<Entry>();
        const model = new Map<string, Entry>();
        for (const [isAddition, words] of steps) {
          const name = words.join();
          const known = model.get(name);
          if (isAddition && known === undefined) {
            const entry = { key: Int32Array.from(words), nextOfHash: undefined };
            model.set(name, entry);
            table.add(entry);
          } else if (known !== undefined) {
            model.delete(name);
            table.delete(known);
          }
          expect(table.find(Int32Array.from(words))).toBe(model.get(name));
        }
        expect(new Set(table.values())).toEqual(new Set(model.values()));
      }),
    );
  });

  it('spreads keys that differ in one bit', () => {
    const hashes = new Set<number>();
    for (let bit = 0; bit < 96; bit++) {
      const words = new Int32Array(3);
      words[bit >> 5] = 1 << (bit & 31);
      hashes.add(hashOf(words));
    }
    expect(hashes.size).toBe(96);
  });

  it('depends on the key of the process', () => {
    const words = Int32Array.from([1, 2, 3]);
    expect(hashOf(words, 1, 2)).toBe(hashOf(words, 1, 2));
    expect(hashOf(words, 1, 2)).not.toBe(hashOf(words, 1, 3));
    expect(hashOf(words, 1, 2)).not.toBe(hashOf(words, 2, 2));
  });
});

describe('a full table', () => {
  it.each<[string, [string, Phase][], number, number | undefined]>([
    [
      'the oldest unreplied one in a flood',
      [...each(1, 'answered'), ...each(3, 'unreplied')],
      0,
      1,
    ],
    ['the first answered one else', [...each(2, 'unreplied'), ...each(2, 'answered')], 0, 2],
    [
      'the silent answered one before',
      [...each(8, 'established'), ...each(1, 'answered')],
      FLOOR_MS,
      8,
    ],
    ['the longest silent established one', each(16, 'established'), FLOOR_MS, 0],
    [
      'that rather than one that is young',
      [...each(15, 'established'), ...each(1, 'unreplied')],
      FLOOR_MS,
      0,
    ],
    [
      'the oldest young one where many are',
      [...each(11, 'established'), ...each(5, 'unreplied')],
      FLOOR_MS,
      11,
    ],
    [
      'an unreplied one rather than one in use',
      [...each(15, 'established'), ...each(1, 'unreplied')],
      0,
      15,
    ],
    [
      'one of a client that has too many',
      [...each(13, 'established'), ...of('many', 3, 'established')],
      0,
      13,
    ],
    [
      'none of a client that has its share',
      [...each(14, 'established'), ...of('two', 2, 'established')],
      0,
      undefined,
    ],
  ])('gives up %s', (_, sessions, silentMs, victim) => {
    const { length } = sessions;
    expect(pool(length, sessions, silentMs).victim(0)?.id).toBe(victim);
  });

  it('gives up the longest silent session of a client that makes room for itself', () => {
    const made = pool(8, [...each(2, 'established'), ...of('one', 4, 'established')]);
    expect(made.victimOf('one', 0)?.id).toBe(2);
    expect(made.victimOf('nobody', 0)).toBe(undefined);
  });

  it('is full at its limit', () => {
    expect(pool(3, each(2, 'established')).isFull).toBe(false);
    expect(pool(3, each(3, 'established')).isFull).toBe(true);
  });

  it('leaves files for TCP, and room for other ports and clients', () => {
    expect(limitsOf(1024)).toEqual({ total: 512, perPort: 256, perSource: 128 });
    expect(limitsOf(1_048_576)).toEqual({ total: 65_536, perPort: 32_768, perSource: 16_384 });
  });
});
