/** What crashed runs leave, as the doctor finds it. */
import { once } from 'node:events';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { nsenterOptions } from '../../src/parent/nsenter.js';
import { temporaryFolder } from '../harness/cleanup.js';
import { rootlesskit, tool } from '../harness/needs.js';
import { which } from '../harness/paths.js';
import { run, start } from '../harness/processes.js';
import { startRootlesskit } from '../harness/rootlesskit.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perTest } from '../harness/suite.js';
import { diagnose } from './doctor-support.js';
import { DEADLINE_MS } from './launcher-support.js';
import { pathOf } from './source-address-setup-support.js';

/** A socket that nobody listens on any more. */
async function staleSocket(path: string): Promise<void> {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  await run(['sh', '-c', '"$@" || true', 'sh', process.execPath, '-e', script]);
  expect(existsSync(path)).toBe(true);
}

describeWith([rootlesskit(1), tool('nft')], 'sluice doctor after a crash', () => {
  const cleanup = perTest();

  /** The lines about leftovers, of those state directories that the environment names. */
  async function leftovers(env: Readonly<Record<string, string>>): Promise<readonly string[]> {
    const empty = temporaryFolder(cleanup);
    const { lines } = await diagnose({ env: { XDG_RUNTIME_DIR: empty, TMPDIR: empty, ...env } });
    return lines.filter((line) => line.includes(' leftovers: '));
  }

  it.each([
    ['XDG_RUNTIME_DIR', 'dockerd-rootless'],
    ['XDG_RUNTIME_DIR', 'containerd-rootless'],
    ['XDG_RUNTIME_DIR', 'sluice-run-x'],
    ['TMPDIR', 'rootlesskit123'],
  ])('finds a stale api.sock below %s in %s', async (variable, name) => {
    const parent = temporaryFolder(cleanup);
    const dir = join(parent, name);
    mkdirSync(dir);
    expect(await leftovers({ [variable]: parent })).toEqual(['ok leftovers: none']);
    await staleSocket(join(dir, 'api.sock'));
    expect(await leftovers({ [variable]: parent })).toEqual([
      `warning leftovers: ${dir} is what a dead rootlesskit left; run: rm -r ${dir}`,
    ]);
  });

  it('takes a server that answers nonsense for alive', async () => {
    const dir = temporaryFolder(cleanup);
    const server = createServer((socket) =>
      socket
        .on('error', () => {})
        .resume()
        .end('nonsense\n'),
    );
    await once(server.listen(join(dir, 'api.sock')), 'listening');
    cleanup.defer(() => server.close());
    expect(await leftovers({ ROOTLESSKIT_STATE_DIR: dir })).toEqual(['ok leftovers: none']);
  });

  it('finds a sluice that can not put back what another program removed', async () => {
    const { stateDir, childPid } = await startRootlesskit(cleanup, {
      major: 1,
      net: 'slirp4netns',
      portDriver: 'none',
    });
    const broken = join(temporaryFolder(cleanup), 'broken');
    const fails = `[ ! -e ${broken} ] || { echo "Error: broken" >&2; exit 1; }`;
    const folder = pathOf(cleanup, { nft: `${fails}\nexec ${which('nft')} "$@"` });
    const attached = await start(cleanup, sluice('attach', '--state-dir', stateDir), {
      env: { PATH: `${folder}:${process.env['PATH']}` },
    });
    const env = { ROOTLESSKIT_STATE_DIR: stateDir };
    const infoHas = (words: string) => () =>
      run(sluice('info'), { env }).then(
        (info) => info.includes(words),
        () => false,
      );
    await attached.until(infoHas('- tcp4: kept'), DEADLINE_MS, 'sluice serving');
    const empty = temporaryFolder(cleanup);
    const addresses = async () => {
      const { lines } = await diagnose({ env: { XDG_RUNTIME_DIR: empty, TMPDIR: empty, ...env } });
      return lines.filter((line) => line.includes(' client addresses: '));
    };
    expect(await addresses()).toEqual([]);

    writeFileSync(broken, '');
    const enter = ['nsenter', ...nsenterOptions({ pid: childPid }), '--'];
    await run([...enter, which('nft') ?? '', 'delete', 'table', 'inet', 'sluice']);
    await attached.until(infoHas('- tcp4: not kept'), DEADLINE_MS, 'the loss');
    expect(await addresses()).toEqual([
      `warning client addresses: the sluice of ${stateDir} does not keep them: nft: Error: broken; run: sluice reload --socket ${join(stateDir, 'api.sock')}`,
    ]);
  });

  it('finds a rootlesskit whose sluice was killed, and then our table', async () => {
    const { stateDir, socket } = await startRootlesskit(cleanup, {
      major: 1,
      net: 'slirp4netns',
      portDriver: 'builtin',
    });
    const env = { ROOTLESSKIT_STATE_DIR: stateDir };
    expect(await leftovers(env)).toEqual(['ok leftovers: none']);

    const attached = await start(cleanup, sluice('attach', '--state-dir', stateDir));
    const serves = () => run(sluice('info'), { env }).then((info) => info.includes('- tcp4: kept'));
    await attached.until(() => serves().catch(() => false), DEADLINE_MS, 'sluice serving');
    expect(await leftovers(env)).toEqual(['ok leftovers: none']);

    attached.signal('SIGKILL');
    await attached.exited(DEADLINE_MS);
    expect(await leftovers(env)).toEqual([
      `failure leftovers: the sluice that served ${stateDir} is gone, and rootlesskit runs on without ports; run: sluice attach --state-dir ${stateDir}`,
    ]);

    rmSync(socket);
    renameSync(join(stateDir, 'rlk.sock'), socket);
    const [line = '', ...others] = await leftovers(env);
    expect(others).toEqual([]);
    const [text, remedy = ''] = line.split('; run: ');
    expect(text).toBe(
      `warning leftovers: the namespace of ${stateDir} still has our nftables table, and sluice does not serve it`,
    );
    await run(['sh', '-c', remedy]);
    expect(await leftovers(env)).toEqual(['ok leftovers: none']);
  });
});
