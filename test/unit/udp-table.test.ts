import { array, assert, boolean, integer, property, tuple } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Group, limitsOf, type Phase } from '../../src/child/udp/limits.js';
import { hashOf, SessionTable } from '../../src/child/udp/table.js';

interface Entry {
  readonly key: Int32Array;
  nextOfHash: Entry | undefined;
}

const key = array(integer({ min: 0, max: 3 }), { minLength: 3, maxLength: 3 });

function group(limit: number, phases: readonly Phase[]) {
  const made = new Group<{ readonly phase: Phase; readonly id: number }>(limit);
  for (const [id, phase] of phases.entries()) made.add({ phase, id });
  return made;
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

describe('a group of sessions', () => {
  it.each<[string, readonly Phase[], number | undefined]>([
    ['the oldest unreplied one in a flood', ['answered', 'unreplied', 'unreplied', 'unreplied'], 1],
    ['the first answered one else', ['unreplied', 'unreplied', 'answered', 'answered'], 2],
    ['an unreplied one rather than none', ['established', 'unreplied', 'established'], 1],
    ['none that is established', ['established', 'established'], undefined],
  ])('gives up %s', (_, phases, victim) => {
    expect(group(phases.length, phases).victim?.id).toBe(victim);
  });

  it('is full at its limit', () => {
    expect(group(3, ['established', 'answered']).isFull).toBe(false);
    expect(group(3, ['established', 'answered', 'unreplied']).isFull).toBe(true);
  });

  it('leaves files for TCP, and room for other ports and clients', () => {
    expect(limitsOf(1024)).toEqual({ total: 512, perPort: 256, perSource: 128 });
    expect(limitsOf(1_048_576)).toEqual({ total: 65_536, perPort: 32_768, perSource: 16_384 });
  });
});
