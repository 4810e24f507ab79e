/** Input that is nearly right: it gets further into a parser than noise does. */
import * as fc from 'fast-check';

const MOST_WORDS = 16;
/** From the top of a ruleset of nft's to an address in it. */
const DEEPEST = 7;

/** Texts out of the words of a grammar: at random, or `example` with some of its words changed. */
export function nearly(
  words: readonly string[],
  example: readonly string[] = [],
): fc.Arbitrary<string> {
  const noise = fc.string({ unit: 'binary', maxLength: 4 });
  const word = fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...words) }, noise);
  const changes = fc.array(fc.tuple(fc.nat(), word), { maxLength: 3 });
  const changed = changes.map((all) => {
    const parts = [...example];
    for (const [at, other] of all) parts[at % (parts.length + 1)] = other;
    return parts;
  });
  return fc
    .oneof(fc.array(word, { maxLength: MOST_WORDS }), changed)
    .map((parts) => parts.join(''));
}

/** Bytes with some of them changed, cut out or put in. */
export function damagedBytes(whole: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const change = fc.tuple(fc.nat(), fc.nat(4), fc.uint8Array({ maxLength: 6 }));
  return fc.tuple(whole, fc.array(change, { maxLength: 4 })).map(([bytes, changes]) =>
    changes.reduce((now, [at, removed, added]) => {
      const start = at % (now.length + 1);
      return Buffer.concat([now.subarray(0, start), added, now.subarray(start + removed)]);
    }, bytes),
  );
}

/** Values with something else in the place of a part of them, or of the whole. */
export function damaged(valid: readonly unknown[]): fc.Arbitrary<unknown> {
  const path = fc.array(fc.nat(40), { maxLength: DEEPEST });
  const other = fc.oneof(
    fc.anything({ maxDepth: 2 }),
    fc.constantFrom<unknown>(
      0,
      1,
      -1,
      65536,
      2 ** 53,
      '',
      'tcp',
      '::1',
      '127.0.0.1',
      true,
      null,
      [],
      {},
    ),
  );
  return fc
    .tuple(fc.constantFrom(...valid), path, other)
    .map(([value, at, replacement]) => replaced(value, at, replacement));
}

function replaced(value: unknown, [step, ...path]: readonly number[], other: unknown): unknown {
  if (step === undefined || typeof value !== 'object' || value === null) return other;
  const keys = Object.keys(value);
  const key = keys[step % (keys.length + 1)] ?? 'more';
  if (Array.isArray(value)) {
    return value.map((each: unknown, index) =>
      String(index) === key ? replaced(each, path, other) : each,
    );
  }
  const part = (value as Readonly<Record<string, unknown>>)[key];
  return { ...value, [key]: replaced(part, path, other) };
}
