/** What clients and callers see while the agent and its parent are killed under traffic. */
import { existsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { temporaryFolder } from '../harness/cleanup.js';
import { type Namespace, makeHost } from '../harness/namespaces.js';
import { userNamespaces } from '../harness/needs.js';
import { describeWith, perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { type RunningDriver, startDriver } from './driver-support.js';
import { driverOf, ECHO_SERVER, isRunning, Load, noted } from './survive-support.js';

const DEADLINE_MS = 30_000;
/** For people: how long it takes depends on the machine, and on what else runs there. */
const figure = (what: string, since: number) =>
  console.log(`${what} after ${Math.round(performance.now() - since)} ms`);
const spec = (parentPort: number) =>
  ({ proto: 'tcp', parentIP: '127.0.0.1', parentPort, childPort: 80 }) as const;

describeWith([userNamespaces], 'under load', () => {
  const cleanup = perTest();
  let host: Namespace;
  let stateDir: string;
  let driver: RunningDriver;

  beforeEach(async () => {
    host = await makeHost(cleanup);
    stateDir = temporaryFolder(cleanup);
    driver = await startDriver(cleanup, host, { command: ECHO_SERVER, stateDir });
    // Id 1 is gone: the ids that stay are not those that counting anew would give.
    for (const port of [8079, 8080, 8081]) await driver.add(spec(port));
    await driver.remove(1);
    await noted(stateDir, 2, 3);
  });

  const ports = [
    { id: 2, spec: spec(8080) },
    { id: 3, spec: spec(8081) },
  ];

  const agentPid = () => driver.program.until(firstAgent, DEADLINE_MS, 'an agent');
  const firstAgent = async () => (await driver.servingAgents())[0];

  function driverPid(): Promise<number> {
    return driver.program.until(() => driverOf(driver.program.pid), DEADLINE_MS, 'a driver');
  }

  async function killDriver(): Promise<void> {
    const pid = await driverPid();
    process.kill(pid, 'SIGKILL');
    await until(() => !isRunning(pid), DEADLINE_MS, 'the end of the driver');
  }

  /** What the driver answers that is started again. Whoever asks before waits for it. */
  const isBack = () => driver.list();

  it('an agent that is killed refuses nobody', async () => {
    const load = await Load.start(cleanup, host, 8080);
    const killed = await agentPid();
    await driver.spareAgent();
    const since = performance.now();
    process.kill(killed, 'SIGKILL');
    const isAnother = async () => (await firstAgent()) !== killed && firstAgent();
    await driver.program.until(isAnother, DEADLINE_MS, 'another agent');
    figure('agent replaced', since);
    await load.goesOn();
    const { failed } = await load.tally();
    // Those that it had taken end with it; the others wait for its successor.
    expect(Object.keys(failed).filter((how) => !['ECONNRESET', 'cut'].includes(how))).toEqual([]);
    expect(await agentPid()).not.toBe(killed);
    expect(await driver.list()).toEqual(ports);
  });

  it('a driver that is killed costs nobody anything, and goes on with the same ids', async () => {
    const load = await Load.start(cleanup, host, 8080);
    const agent = await agentPid();
    const spare = await driver.spareAgent();
    const since = performance.now();
    await killDriver();
    expect(await isBack()).toEqual(ports);
    figure('driver back', since);
    expect(await agentPid()).toBe(agent);
    await load.goesOn();
    expect(await load.tally()).toMatchObject({ failed: {}, keptEnd: '' });
    await until(() => !isRunning(spare), DEADLINE_MS, 'the end of the old spare agent');

    expect(await driver.remove(2)).toEqual({ status: 200, body: '' });
    expect(await driver.add(spec(8080))).toEqual({ id: 4, spec: spec(8080) });
    expect(driver.program.stderr).toMatch(/the port driver ended by SIGKILL; its ports stay open/);
  });

  it('a driver that is killed together with its agent opens the same ports', async () => {
    process.kill(await agentPid(), 'SIGKILL');
    await killDriver();
    expect(await isBack()).toEqual(ports);
    const load = await Load.start(cleanup, host, 8081);
    expect(await load.tally()).toMatchObject({ failed: {}, keptEnd: '' });
  });

  it('an agent that nobody comes back for ends with its namespaces', async () => {
    const load = await Load.start(cleanup, host, 8080);
    const agents = [await agentPid(), await driver.spareAgent()];
    const server = await driver.childPid();
    const parent = await driverPid();
    driver.program.signal('SIGKILL');
    await driver.program.exit;
    process.kill(parent, 'SIGKILL');
    await load.goesOn();
    expect(await load.tally()).toMatchObject({ failed: {}, keptEnd: '' });
    process.kill(server, 'SIGKILL');
    await until(() => !agents.some(isRunning), DEADLINE_MS, 'the end of both agents');
  });

  it('a driver goes on without its launcher, and ends with its namespaces', async () => {
    const parent = await driverPid();
    const server = await driver.childPid();
    driver.program.signal('SIGKILL');
    await driver.program.exit;
    expect(await driver.list()).toEqual(ports);
    process.kill(server, 'SIGKILL');
    await until(() => !isRunning(parent), DEADLINE_MS, 'the end of the driver');
    expect(existsSync(join(stateDir, 'api.sock'))).toBe(false);
    expect(existsSync(join(stateDir, 'sluice.json'))).toBe(false);
  });

  it('a driver that is stopped and can’t end is killed after its launcher has waited', async () => {
    const parent = await driverPid();
    process.kill(parent, 'SIGSTOP');
    cleanup.defer(() => isRunning(parent) && process.kill(parent, 'SIGKILL'));
    driver.program.signal('SIGTERM');
    await driver.program.exited(DEADLINE_MS);
    expect(driver.program.stderr).toContain('did not end within 10 s of being asked to; killed');
    expect(isRunning(parent)).toBe(false);
    expect(existsSync(join(stateDir, 'api.sock'))).toBe(false);
  });

  it.each([
    ['cut short', (file: string) => truncateSync(file, 40)],
    ['somebody else’s', (file: string) => writeFileSync(file, '{"version":7}')],
  ])('a state file that is %s is set aside, and the agent tells its ports', async (_, spoil) => {
    const file = join(stateDir, 'sluice.json');
    spoil(file);
    await killDriver();
    expect(await isBack()).toEqual(ports);
    await driver.program.line(
      /sluice\.json is not what sluice wrote \(.+\); set aside as .+sluice\.json\.bad"$/m,
      DEADLINE_MS,
    );
    expect(existsSync(`${file}.bad`)).toBe(true);
  });
});
