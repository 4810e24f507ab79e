/** The port table on disk: cut short, damaged, or somebody else's. */
import * as fc from 'fast-check';
import { isDeepStrictEqual } from 'node:util';
import { validateSpec } from '../../src/msg/spec.js';
import { parseState } from '../../src/parent/state-text.js';
import { damaged, damagedBytes } from './garbage.js';
import { must, outcome, targetOf } from './target.js';

const SPEC = { proto: 'tcp', parentIP: '127.0.0.1', parentPort: 8080, childIP: '', childPort: 80 };
const STATES: readonly unknown[] = [
  {
    version: 1,
    child: { pid: 4711, startTicks: 123_456 },
    lastId: 7,
    ports: [
      { id: 2, spec: SPEC },
      { id: 7, spec: { ...SPEC, proto: 'udp6', parentIP: '::' } },
    ],
  },
  { version: 1, child: { pid: 1, startTicks: 0 }, lastId: 0, ports: [] },
];

const CHANGES = [{ added: { id: 9, spec: SPEC } }, { removed: 7 }, { removed: 2 }];

const whole = fc
  .tuple(fc.constantFrom(...STATES), fc.array(fc.constantFrom<unknown>(...CHANGES)))
  .map(([state, changes]) => [state, ...changes].map((line) => `${JSON.stringify(line)}\n`))
  .map((lines) => Buffer.from(lines.join('')));
const text = fc.oneof(
  damagedBytes(whole).map((bytes) => Buffer.from(bytes).toString('utf8')),
  damaged(STATES).map((state) => textOf(state)),
);

export const state = targetOf('state file', text, (written) => {
  const result = outcome(() => parseState(written));
  if (!('value' in result)) return must(result.code === 'ERR_STATE_FILE', result.code);
  const { lastId, ports } = result.value;
  must(Number.isSafeInteger(lastId) && lastId >= 0, `last id ${lastId}`);
  for (const { id, spec } of ports) {
    must(Number.isSafeInteger(id) && id > 0, `id ${id}`);
    must(isDeepStrictEqual(validateSpec(spec), spec), 'every spec could have been asked for');
  }
  const again = parseState(JSON.stringify({ version: 1, ...result.value }));
  must(isDeepStrictEqual(again, result.value), 'a state survives being written');
});

/** Some of `damaged` has no JSON form. */
function textOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? '';
  } catch {
    return '';
  }
}
