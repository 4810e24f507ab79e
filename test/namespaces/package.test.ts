/** The tarball, as users install it. Needs the package registry, as `npm test` itself does. */
import { copyFileSync, existsSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { temporaryFolder } from '../harness/cleanup.js';
import { ask } from '../harness/http.js';
import { makeHost, enter } from '../harness/namespaces.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { REPOSITORY } from '../harness/paths.js';
import { freePort } from '../harness/ports.js';
import { run, start } from '../harness/processes.js';
import { describeWith, perSuite } from '../harness/suite.js';

const INSTALL_MS = 120_000;
const READY_MS = 20_000;
const NPM_FLAGS = ['--no-audit', '--no-fund', '--loglevel=error'];
const MODULES = join(REPOSITORY, 'node_modules');

describeWith([tool('rootlesskit'), userNamespaces], 'the package', () => {
  const cleanup = perSuite();
  let tarball: string;
  let prefix: string;
  let bin: string;

  beforeAll(async () => {
    const folder = temporaryFolder(cleanup);
    const pack = ['npm', 'pack', '--ignore-scripts', `--pack-destination=${folder}`];
    await run([...pack, ...NPM_FLAGS], { cwd: REPOSITORY });
    tarball = join(folder, readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? '');
    prefix = join(folder, 'prefix');
    await run(['npm', 'install', '-g', `--prefix=${prefix}`, tarball, ...NPM_FLAGS], {
      deadlineMs: INSTALL_MS,
    });
    bin = join(prefix, 'bin');
  }, INSTALL_MS);

  it('has what users need, and nothing else', async () => {
    const files = (await run(['tar', '-tf', tarball])).trim().split('\n');
    const folders = new Set(files.map((file) => file.split('/').slice(1, 3).join('/')));
    expect([...folders].filter((name) => !name.startsWith('docs/')).toSorted()).toEqual([
      'ARCHITECTURE.md',
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'dist/LICENSES.txt',
      'dist/child',
      'dist/index.d.ts',
      'dist/index.js',
      'dist/index.js.map',
      'dist/man',
      'dist/msg',
      'dist/parent',
      'dist/programs',
      'dist/schema',
      'examples/publish.ts',
      'package.json',
      'scripts/docker-rootlesskit',
    ]);
  });

  it('keeps what V8 makes of its programs when it is installed, not before', async () => {
    expect((await run(['tar', '-tf', tarball])).trim().split('\n').filter(isCodeCache)).toEqual([]);
    const programs = join(prefix, 'lib/node_modules/sluice/dist/programs');
    const files = readdirSync(programs, { recursive: true, encoding: 'utf8' });
    expect(files.filter(isCodeCache).length).toBe(
      files.filter((file) => file.endsWith('.map')).length,
    );
  });

  it('installs its man pages', () => {
    for (const page of ['sluice.1', 'docker-rootlesskit.1']) {
      expect(existsSync(join(prefix, 'share/man/man1', page))).toBe(true);
    }
  });

  it('can be imported as it says, types included', async () => {
    const publint = [join(MODULES, '.bin/publint'), 'run', tarball, '--strict'];
    expect(await run(publint)).toContain('All good!');
    // An ES module: require() of one is Node.js 22's.
    const attw = [join(MODULES, '.bin/attw'), tarball, '--profile', 'esm-only'];
    expect(await run(attw)).toMatch(/node16 \(from ESM\).*\(ESM\)/);
  });

  it('is a library that the example compiles against, and publishes ports with', async () => {
    const folder = temporaryFolder(cleanup);
    symlinkSync(join(prefix, 'lib/node_modules'), join(folder, 'node_modules'));
    copyFileSync(join(REPOSITORY, 'examples/publish.ts'), join(folder, 'publish.ts'));
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    const compilerOptions = { target: 'es2023', module: 'nodenext', strict: true };
    const types = { types: ['node'], typeRoots: [join(MODULES, '@types')] };
    const files = ['publish.ts'];
    const config = { files, compilerOptions: { ...compilerOptions, ...types } };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
    await run([join(MODULES, '.bin/tsc'), '-p', folder]);

    const host = await makeHost(cleanup);
    writeFileSync(join(folder, 'index.html'), 'hello\n');
    await start(cleanup, enter(host, 'busybox', 'httpd', '-f', '-p', '80', '-h', folder));
    const port = await freePort();
    const example = [process.execPath, join(folder, 'publish.js'), String(host.pid)];
    const program = await start(cleanup, [...example, `127.0.0.1:${port}:80/tcp`]);
    await program.line(new RegExp(`^1 is published on port ${port}$`, 'm'), READY_MS);
    const answer = () => ask({ host: '127.0.0.1', port, path: '/' }).catch(() => undefined);
    expect((await program.until(answer, READY_MS, 'an answer')).body).toBe('hello\n');
    program.signal('SIGINT');
    expect(await program.exited(READY_MS)).toEqual({ code: 0, signal: null });

    const refused = await start(cleanup, [...example, '127.0.0.1:80/tcp']);
    expect(await refused.exited(READY_MS)).toEqual({ code: 1, signal: null });
    expect(refused.stderr).toMatch(/^ERR_SPEC: bad port spec/);
  });

  it('installs sluice, whose help shows an example for every command', async () => {
    const sluice = join(bin, 'sluice');
    const help = await run([sluice, '--help']);
    const commands = [...help.matchAll(/^ {2}([a-z-]+) .*$/gm)].map(([, name = '']) => name);
    expect(commands).toEqual(
      expect.arrayContaining(['run', 'attach', 'rootlesskit', 'add-ports', 'list-ports', 'info']),
    );
    for (const command of commands.filter((name) => name !== 'help')) {
      expect(await run([sluice, command, '--help'])).toContain('\nExample:\n  sluice ');
    }
  });

  it('installs docker-rootlesskit, which is the real rootlesskit unless sluice is asked for', async () => {
    expect(await run([join(bin, 'docker-rootlesskit'), '--version'])).toBe(
      await run(['rootlesskit', '--version']),
    );
  });

  it('publishes a port', async () => {
    const script = 'exec "$0" list-ports --json --socket "$ROOTLESSKIT_STATE_DIR/api.sock"';
    const sluice = join(bin, 'sluice');
    const parentPort = await freePort();
    const spec = `127.0.0.1:${parentPort}:80/tcp`;
    const listed = await run([sluice, 'run', '-p', spec, '--', 'sh', '-c', script, sluice]);
    expect(JSON.parse(listed)).toEqual({
      id: 1,
      spec: { proto: 'tcp', parentIP: '127.0.0.1', parentPort, childPort: 80 },
    });
  });
});

function isCodeCache(file: string): boolean {
  return file.endsWith('.cache');
}
