/** What --json prints is what its schema says, and what docs/json.md shows. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../harness/cleanup.js';
import { userNamespaces } from '../harness/needs.js';
import { readPages } from '../harness/pages.js';
import { REPOSITORY } from '../harness/paths.js';
import { freePort } from '../harness/ports.js';
import { run, start } from '../harness/processes.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perTest } from '../harness/suite.js';
import { outputOf } from '../unit/support/cli.js';

const READY_MS = 30_000;
const SCHEMAS = join(REPOSITORY, 'dist/schema');
const NAMES = readdirSync(SCHEMAS).map((file) => basename(file, '.json'));

/** What of a value its schema does not allow. */
function problems(name: string, value: unknown): string {
  // Formats are there for people: each has its pattern beside it.
  const ajv = new Ajv2020({ validateFormats: false });
  const schema = JSON.parse(readFileSync(join(SCHEMAS, `${name}.json`), 'utf8')) as object;
  return ajv.validate(schema, value) ? '' : ajv.errorsText();
}

function lines(text: string): unknown[] {
  return text
    .trim()
    .split('\n')
    .map((line): unknown => JSON.parse(line));
}

describe('docs/json.md', () => {
  const examples = readPages().find(({ name }) => name === 'docs/json.md')?.blocks ?? [];

  it('has an example for every schema', () => {
    expect(examples.map(({ words }) => words).toSorted()).toEqual(NAMES.toSorted());
  });

  it.each(examples)('shows $words as its schema says', ({ words, text }) => {
    expect(problems(words, JSON.parse(text))).toBe('');
  });
});

describe('a schema', () => {
  it.each(['doctor', 'probe', 'port', 'flows'])(
    'of %s takes nothing that it does not name',
    (name) => {
      const [example] = readPages()
        .flatMap(({ blocks }) => blocks)
        .filter(({ language, words }) => language === 'json' && words === name)
        .map(({ text }): unknown => JSON.parse(text));
      const more = Array.isArray(example)
        ? [{ ...(example[0] as object), more: 1 }]
        : { ...(example as object), more: 1 };
      expect(problems(name, more)).toContain('must NOT have additional properties');
    },
  );
});

describeWith([userNamespaces], 'what is printed', () => {
  const cleanup = perTest();

  it('by list-ports, add-ports, info and flows is what the schemas say', async () => {
    const [first, second] = [await freePort(), await freePort()];
    const [node, program] = sluice();
    const script = `set -e
      "$@" add-ports --json 127.0.0.1:${second}:81/tcp; echo
      "$@" list-ports --json; echo
      "$@" info --json; echo
      "$@" flows --json 1`;
    const shell = ['sh', '-c', script, 'sh', node ?? '', program ?? ''];
    const output = await run(sluice('run', '-p', `${first}:80/udp`, '--', ...shell));
    const [added = '', listed = '', info = '', flows = ''] = output.split('\n\n');
    expect([lines(added), lines(listed)].map(({ length }) => length)).toEqual([1, 2]);
    for (const port of [...lines(added), ...lines(listed)]) expect(problems('port', port)).toBe('');
    expect(problems('info', JSON.parse(info))).toBe('');
    expect(problems('flows', JSON.parse(flows))).toBe('');
    expect(JSON.parse(info)).toMatchObject({ portDriver: { sourceIP: {}, agents: {} } });
  });

  it('by events and top is what the schemas say', async () => {
    const port = await freePort();
    const other = await freePort();
    const [node, program] = sluice();
    const script = `set -e
      "$@" top --once --json; echo
      "$@" events --json >events.json & viewer=$!
      until [ -s events.json ]; do
        "$@" add-ports ${port}:80/tcp >id; "$@" remove-ports "$(cat id)" >id
      done
      kill $viewer; cat events.json`;
    const shell = ['sh', '-c', script, 'sh', node ?? '', program ?? ''];
    const cwd = temporaryFolder(cleanup);
    const output = await run(sluice('run', '-p', `${other}:80/udp`, '--', ...shell), { cwd });
    const [states = '', events = ''] = output.split('\n\n');
    expect(lines(states)).toHaveLength(1);
    for (const state of lines(states)) expect(problems('state', state)).toBe('');
    for (const event of lines(events)) expect(problems('event', event)).toBe('');
  });

  it('by doctor is what the schema says', async () => {
    const { stdout } = await outputOf(sluice('doctor', '--json'));
    const findings: unknown = JSON.parse(stdout);
    expect(findings).not.toEqual([]);
    expect(problems('doctor', findings)).toBe('');
  });

  it('by probe of a published port is what the schema says', async () => {
    const port = await freePort();
    const state = temporaryFolder(cleanup);
    const command = ['sh', '-c', 'echo inside; exec sleep infinity'];
    const driver = await start(
      cleanup,
      sluice('run', '--state-dir', state, '-p', `127.0.0.1:${port}:80/tcp`, '--', ...command),
    );
    await driver.line(/^inside$/m, READY_MS);
    const socket = join(state, 'api.sock');
    const { stdout } = await outputOf(sluice('probe', '--json', '--socket', socket, String(port)));
    expect(problems('probe', JSON.parse(stdout))).toBe('');
    expect(JSON.parse(stdout)).toMatchObject({ published: {}, inside: [{}], reason: {} });
  });

  it.each([
    ['127.0.0.1:1', 'refused'],
    ['[::1]:1/udp', 'refused'],
    ['240.0.0.1:1', 'unreachable'],
  ])('by probe of %s is what the schema says', async (target) => {
    const { stdout } = await outputOf(sluice('probe', '--json', '--timeout', '0.1', target));
    for (const result of lines(stdout)) expect(problems('probe', result)).toBe('');
  });
});
