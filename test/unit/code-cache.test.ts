/** Programs and what V8 has kept of them: scripts/entry.ts, src/parent/code-cache.ts. */
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeEnvironment } from '../../src/parent/node-env.js';
import { temporaryFolder } from '../harness/cleanup.js';
import { REPOSITORY } from '../harness/paths.js';
import { run, start } from '../harness/processes.js';
import { perTest } from '../harness/suite.js';

const READY_MS = 20_000;
const MAKER = 'parent/code-cache.js';
/** Prints `false` where V8 takes what was kept of the program at this path, less its suffix. */
const IS_REJECTED = `
  const { readFileSync } = require('node:fs');
  const filename = process.argv[1] + '.js';
  const source = require('node:module').wrap(readFileSync(filename, 'latin1'));
  const cachedData = readFileSync(process.argv[1] + '.cache');
  console.log(new (require('node:vm').Script)(source, { filename, cachedData }).cachedDataRejected);
`;
const FRUGAL = ['child/main', 'parent/launcher/driver-main'];
const PLAIN = ['child/loopback', 'parent/cli/docker-rootlesskit', 'parent/cli/main'];

describe('the code cache', () => {
  const test = perTest();

  it.each(PLAIN)('of %s is taken by V8', async (name) => {
    const isRejected = [process.execPath, '--eval', IS_REJECTED, codeOf(programsHere(), name)];
    expect(await run(isRejected, { env: { NODE_OPTIONS: undefined } })).toBe('false\n');
  });

  it.each(FRUGAL)('of %s is taken by V8 with its own flags', async (name) => {
    const isRejected = [process.execPath, '--eval', IS_REJECTED, codeOf(programsHere(), name)];
    const { NODE_OPTIONS } = nodeEnvironment();
    expect(await run(isRejected, { env: { NODE_OPTIONS } })).toBe('false\n');
  });

  it('is left out where it is missing, cut short, or of other flags', async () => {
    const programs = copyOfPrograms();
    const version = () =>
      run([process.execPath, join(programs, 'parent/cli/main.js'), '--version']);
    const wanted = await version();
    const cache = `${codeOf(programs, 'parent/cli/main')}.cache`;
    truncateSync(cache, 20_000);
    expect(await version()).toBe(wanted);
    writeFileSync(cache, 'nothing of V8');
    expect(await version()).toBe(wanted);
    rmSync(cache);
    expect(await version()).toBe(wanted);
    const env = { NODE_OPTIONS: '--max-semi-space-size=4' };
    await run([process.execPath, join(programs, MAKER)], { env });
    expect(await version()).toBe(wanted);
  });

  it('is told of where it can’t be written, and fails no installation', async () => {
    const programs = copyOfPrograms();
    const folder = join(programs, 'parent/cli');
    chmodSync(folder, 0o555);
    test.defer(() => chmodSync(folder, 0o755));
    const maker = await start(test, [process.execPath, join(programs, MAKER)]);
    expect(await maker.exited(READY_MS)).toEqual({ code: 0, signal: null });
    expect(maker.stderr).toMatch(
      /^sluice: programs start without a code cache: EACCES: permission denied, open '.+'\n$/,
    );
  });

  function copyOfPrograms(): string {
    const folder = temporaryFolder(test);
    for (const name of ['dist/programs', 'LICENSE', 'package.json']) {
      cpSync(join(REPOSITORY, name), join(folder, name), { recursive: true });
    }
    symlinkSync(join(REPOSITORY, 'node_modules'), join(folder, 'node_modules'));
    return join(folder, 'dist/programs');
  }
});

describe('koffi', () => {
  const test = perTest();

  it('is loaded in its own way where its native part is not beside this package', async () => {
    const folder = temporaryFolder(test);
    cpSync(join(REPOSITORY, 'dist/msg'), join(folder, 'msg'), { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(join(REPOSITORY, 'node_modules/koffi'), join(folder, 'node_modules/koffi'));
    const script = `import { dup } from './msg/libc.js'; console.log(dup(-1));`;
    const node = [process.execPath, '--input-type=module', '--eval', script];
    expect(await run(node, { cwd: folder })).toBe('-9\n');
  });
});

function programsHere(): string {
  return join(REPOSITORY, 'dist/programs');
}

/** Without its suffix. */
function codeOf(programs: string, name: string): string {
  const files = readdirSync(programs, { recursive: true, encoding: 'utf8' });
  const code = files.find((file) => file.startsWith(`${name}.`) && /\.[0-9A-Z]{8}\.js$/.test(file));
  return join(programs, (code ?? '').slice(0, -'.js'.length));
}
