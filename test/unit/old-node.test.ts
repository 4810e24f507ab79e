/** A Node.js that is too old: what each program says of it, before anything that it can't read. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../harness/cleanup.js';
import { REPOSITORY } from '../harness/paths.js';
import { perTest } from '../harness/suite.js';
import { outputOf } from './support/cli.js';

const cleanup = perTest();

/** Read before the program: what an old Node.js says that it is. */
function pretending(version: string): string {
  const file = join(temporaryFolder(cleanup), 'version.cjs');
  const text = JSON.stringify({ ...process.versions, node: version });
  writeFileSync(file, `Object.defineProperty(process, 'versions', { value: ${text} });`);
  return `--require=${file}`;
}

const saysSo = (version: string) => ({
  code: 1,
  stdout: '',
  stderr:
    `sluice: Node.js 20.19 or newer is needed, and ${process.execPath} is ${version}; see ` +
    'https://nodejs.org/en/download, or run: npm install --global --prefix ~/.local node@22 ' +
    '(and have ~/.local/bin first on the PATH)\n',
});

test.each([
  ['node', 'dist/programs/parent/cli/main.js', 'doctor'],
  ['node', 'dist/programs/parent/cli/main.js', 'list-ports'],
  ['sh', 'scripts/docker-rootlesskit', '--version'],
  // Of "npm run demo", "npm test" and "npm run bench".
  ['sh', 'scripts/prepare.sh'],
])('%s %s says in one line which Node.js it needs', async (...command) => {
  const env = { NODE_OPTIONS: pretending('18.20.8') };
  expect(await outputOf(command, { cwd: REPOSITORY, env })).toEqual(saysSo('18.20.8'));
});

test.each([
  ['8.17.0', 1],
  ['20.18.3', 1],
  ['20.19.0', 0],
  ['22.1.0', 0],
  ['100.0.0', 0],
])('Node.js %s: exit code %d', async (version, code) => {
  const command = ['node', pretending(version), 'scripts/check-node.cjs'];
  expect(await outputOf(command, { cwd: REPOSITORY })).toMatchObject({ code });
});

test('the version is that of package.json', () => {
  const { engines } = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8')) as {
    readonly engines: { readonly node: string };
  };
  const check = readFileSync(join(REPOSITORY, 'scripts/check-node.cjs'), 'utf8');
  const [, least = ''] = /^var LEAST = \[(.*)\];$/m.exec(check) ?? [];
  expect(engines.node).toBe(`>=${least.replace(', ', '.')}`);
});

test('what runs first can be read by every Node.js since 2015', () => {
  const check = readFileSync(join(REPOSITORY, 'scripts/check-node.cjs'), 'utf8');
  const entry = readFileSync(join(REPOSITORY, 'dist/programs/parent/cli/main.js'), 'utf8');
  expect(check).not.toMatch(/=>|`|\?\?|\?\.|\b(?:const|let|import|export|async)\b/);
  expect(entry).not.toMatch(/\?\?|\?\.|catch\s*\{|\basync\b/);
  expect(entry.indexOf('process.versions')).toBeLessThan(entry.indexOf('require("node:'));
});
