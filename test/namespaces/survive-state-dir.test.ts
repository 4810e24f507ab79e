/** What is in a state directory that a driver did not write, can't write, or must not share. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../harness/cleanup.js';
import { enter, makeHost, runIn } from '../harness/namespaces.js';
import { userNamespaces } from '../harness/needs.js';
import { start } from '../harness/processes.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { startDriver } from './driver-support.js';
import { driverOf, ECHO_SERVER, isRunning, Load, noted } from './survive-support.js';

const DEADLINE_MS = 30_000;
const spec = (parentPort: number) =>
  ({ proto: 'tcp', parentIP: '127.0.0.1', parentPort, childPort: 80 }) as const;

describeWith([userNamespaces], 'a state directory', () => {
  const cleanup = perTest();

  it.each([
    ['is full', 'head -c 10M /dev/zero >"$0/fill" || true'],
    ['is read-only', 'mount -o remount,bind,ro "$0"'],
  ])('that %s costs a report and no port', async (_, spoil) => {
    const host = await makeHost(cleanup);
    const stateDir = temporaryFolder(cleanup);
    const inHost = (script: string) => runIn(host, ['sh', '-c', script, stateDir]);
    await inHost('mount -t tmpfs -o size=64k,mode=700 tmpfs "$0"');
    // The socket is on a mount that only the host namespace shows.
    const driver = await startDriver(cleanup, host, { command: ECHO_SERVER, stateDir });
    const info = `/proc/${host.pid}/root${join(stateDir, 'api.sock')}`;
    const api = driver.at(info);
    await api.add(spec(8080));
    await inHost(spoil);
    // More than what is left of the file's last page.
    for (let count = 1; count <= 40; count++) await api.add(spec(8080 + count));
    await driver.program.line(
      /ports can't be noted in .+sluice\.json: (ENOSPC|EROFS)/,
      DEADLINE_MS,
    );

    // The file knows none of the later ports, and must not say that they were removed.
    const parent = driverOf(driver.program.pid) ?? 0;
    process.kill(parent, 'SIGKILL');
    await until(() => !isRunning(parent), DEADLINE_MS, 'the end of the driver');
    const ids = [...Array(41).keys()].map((index) => index + 1);
    expect((await api.list()).map(({ id }) => id)).toEqual(ids);
    const load = await Load.start(cleanup, host, 8120);
    expect(await load.tally()).toMatchObject({ failed: {}, keptEnd: '' });
    expect(await driver.program.end()).toEqual({
      code: 128 + constants.signals.SIGTERM,
      signal: null,
    });
  });

  it('is not for two drivers: the second one is told, the first one serves on', async () => {
    const host = await makeHost(cleanup);
    const stateDir = temporaryFolder(cleanup);
    const first = await startDriver(cleanup, host, { command: ECHO_SERVER, stateDir });
    await first.add(spec(8080));
    await noted(stateDir, 1);
    const files = readdirSync(stateDir);
    const state = readFileSync(join(stateDir, 'sluice.json'), 'utf8');

    const second = await start(
      cleanup,
      enter(host, ...sluice('run', '--state-dir', stateDir, '--', 'true')),
    );
    expect((await second.exited(DEADLINE_MS)).code).not.toBe(0);
    expect(second.stderr).toBe(
      `sluice: a sluice serves ${stateDir} already; end that one first if you want another\n`,
    );
    expect(readdirSync(stateDir)).toEqual(files);
    expect(readFileSync(join(stateDir, 'sluice.json'), 'utf8')).toBe(state);
    const load = await Load.start(cleanup, host, 8080);
    expect(await load.tally()).toMatchObject({ failed: {}, keptEnd: '' });
    expect(await first.remove(1)).toEqual({ status: 200, body: '' });
  });

  it('whose driver and namespaces were killed is as good as a new one', async () => {
    const host = await makeHost(cleanup);
    const stateDir = temporaryFolder(cleanup);
    const dead = await startDriver(cleanup, host, { command: ECHO_SERVER, stateDir });
    await dead.add(spec(8080));
    const [agent = 0] = await dead.servingAgents();
    const server = await dead.childPid();
    const parent = driverOf(dead.program.pid) ?? 0;
    dead.program.signal('SIGKILL');
    await dead.program.exit;
    for (const pid of [parent, server]) process.kill(pid, 'SIGKILL');
    await until(() => ![parent, agent].some(isRunning), DEADLINE_MS, 'the end of all');
    const left = ['api.sock', 'sluice.json', 'sluice.lock'];
    expect(left.filter((name) => existsSync(join(stateDir, name)))).toEqual(left);

    const driver = await startDriver(cleanup, host, { command: ECHO_SERVER, stateDir });
    expect(await driver.list()).toEqual([]);
    expect(await driver.add(spec(8080))).toEqual({ id: 1, spec: spec(8080) });
    expect(driver.program.stderr).toBe('');
    await driver.program.end();
    expect(readdirSync(stateDir)).toEqual([]);
  });
});
