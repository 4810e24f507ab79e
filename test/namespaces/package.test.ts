/** The tarball, as users install it. Needs the package registry, as `npm test` itself does. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { temporaryFolder } from '../harness/cleanup.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { REPOSITORY } from '../harness/paths.js';
import { freePort } from '../harness/ports.js';
import { run } from '../harness/processes.js';
import { describeWith, perSuite } from '../harness/suite.js';

const INSTALL_MS = 120_000;
const NPM_FLAGS = ['--no-audit', '--no-fund', '--loglevel=error'];

describeWith([tool('rootlesskit'), userNamespaces], 'the package', () => {
  const cleanup = perSuite();
  let bin: string;

  beforeAll(async () => {
    const folder = temporaryFolder(cleanup);
    const pack = ['npm', 'pack', '--ignore-scripts', `--pack-destination=${folder}`];
    await run([...pack, ...NPM_FLAGS], { cwd: REPOSITORY });
    const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? '';
    const prefix = join(folder, 'prefix');
    await run(['npm', 'install', '-g', `--prefix=${prefix}`, join(folder, tarball), ...NPM_FLAGS], {
      deadlineMs: INSTALL_MS,
    });
    bin = join(prefix, 'bin');
  }, INSTALL_MS);

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
