/** Ends of processes that nobody asked for, one after another: no port is lost, none comes back. */
import { beforeEach, expect, it } from 'vitest';
import { temporaryFolder } from '../harness/cleanup.js';
import { type Namespace, makeHost } from '../harness/namespaces.js';
import { userNamespaces } from '../harness/needs.js';
import { describeWith, perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { answersTo, type RunningDriver, startDriver } from './driver-support.js';
import { driverOf, ECHO_SERVER, evaluateIn, isRunning, Load, THROW } from './survive-support.js';

const DEADLINE_MS = 30_000;
const STOPPED_MS = 10_000;
const spec = (parentPort: number) =>
  ({ proto: 'tcp', parentIP: '127.0.0.1', parentPort, childPort: 80 }) as const;

async function kill(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL');
  await until(() => !isRunning(pid), DEADLINE_MS, `the end of ${pid}`);
}

describeWith([userNamespaces], 'ends that nobody asked for', () => {
  const cleanup = perTest();
  let host: Namespace;
  let driver: RunningDriver;

  beforeEach(async () => {
    host = await makeHost(cleanup);
    const stateDir = temporaryFolder(cleanup);
    driver = await startDriver(cleanup, host, { command: ECHO_SERVER, stateDir });
    await driver.add(spec(8080));
  });

  const agentPid = () => driver.program.until(firstAgent, DEADLINE_MS, 'an agent');
  const firstAgent = async () => (await driver.servingAgents())[0];

  function driverPid(): Promise<number> {
    return driver.program.until(() => driverOf(driver.program.pid), DEADLINE_MS, 'a driver');
  }

  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
    '%s to the driver or its agent alone ends no port',
    async (signal) => {
      const load = await Load.start(cleanup, host, 8080);
      const agent = await agentPid();
      const parent = await driverPid();
      process.kill(parent, signal);
      process.kill(agent, signal);
      await driver.program.line(new RegExp(`${signal}.* is ignored`), DEADLINE_MS);
      expect(await driver.list()).toEqual([{ id: 1, spec: spec(8080) }]);
      await load.goesOn();
      expect(await load.tally()).toMatchObject({ failed: {}, keptEnd: '' });
      expect([driverOf(driver.program.pid), await agentPid()]).toEqual([parent, agent]);
      expect(driver.program.stderr.trimEnd().split('\n')).toHaveLength(1);
    },
  );

  it.each([
    ['with exit code 0', 'setTimeout(() => process.exit(0))', 'with exit code 0;'],
    [
      'by an error that nothing catches',
      THROW,
      'with exit code 1 (Error: a fault of the test at Timeout',
    ],
    ['by a signal', "setTimeout(() => process.kill(process.pid, 'SIGSEGV'))", 'by SIGSEGV;'],
  ])('a driver that ends %s is started again, and one line tells', async (_, code, how) => {
    const load = await Load.start(cleanup, host, 8080);
    const agent = await agentPid();
    const parent = await driverPid();
    await evaluateIn(host, parent, code);
    await until(() => !isRunning(parent), DEADLINE_MS, 'the end of the driver');
    expect(await driver.list()).toEqual([{ id: 1, spec: spec(8080) }]);
    await load.goesOn();
    expect(await load.tally()).toMatchObject({ failed: {}, keptEnd: '' });
    expect(await agentPid()).toBe(agent);
    const lines = driver.program.stderr.split('\n').filter((line) => line.includes('app=sluice'));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(`the port driver ended ${how}`);
  });

  it('lines of the driver that make no sense are nothing to its launcher', async () => {
    const parent = await driverPid();
    const write = "process.getBuiltinModule('fs').writeSync(3, 'stray\\n{\\nnull\\n7\\n{}\\n')";
    await evaluateIn(host, parent, write);
    await kill(parent);
    expect(await driver.list()).toEqual([{ id: 1, spec: spec(8080) }]);
    await driver.program.line(/the port driver ended by SIGKILL/, DEADLINE_MS);
  });

  it('a port that was removed stays removed, and no id is given twice', async () => {
    const ids = [1];
    for (const port of [9001, 9002]) {
      const { id } = await driver.add(spec(port));
      ids.push(id);
      await kill(await driverPid());
      expect((await driver.list()).map((status) => status.id)).toEqual([1, id]);
      expect((await driver.remove(id)).status).toBe(200);
      await kill(await driverPid());
      expect((await driver.list()).map((status) => status.id)).toEqual([1]);
      expect(await answersTo(host, [['127.0.0.1', port]])).toEqual(['ECONNREFUSED']);
    }
    expect(new Set(ids).size).toBe(ids.length);
  });

  it.each(['agent', 'driver'] as const)(
    'the %s may be stopped for ten seconds: what was asked is answered, and no flow ends',
    async (which) => {
      const load = await Load.start(cleanup, host, 8080);
      await driver.add(spec(8081));
      const agent = await agentPid();
      const stopped = which === 'agent' ? agent : await driverPid();
      const asked = [driver.remove(2)];
      process.kill(stopped, 'SIGSTOP');
      const since = performance.now();
      asked.push(driver.post(spec(8082)));
      await until(() => performance.now() - since > STOPPED_MS, DEADLINE_MS, 'ten seconds');
      process.kill(stopped, 'SIGCONT');
      expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([200, 201]);
      await load.goesOn();
      expect(await load.tally()).toMatchObject({ failed: {}, keptEnd: '' });
      expect(await agentPid()).toBe(agent);
      expect((await driver.list()).map(({ id }) => id)).toEqual([1, 3]);
      expect(driver.program.stderr).not.toMatch(/event=(?:agentReplaced|driverEnded)/);
    },
  );

  it('an agent that is stopped when its driver is killed keeps its flows', async () => {
    const load = await Load.start(cleanup, host, 8080);
    const agent = await agentPid();
    process.kill(agent, 'SIGSTOP');
    await kill(await driverPid());
    const since = performance.now();
    await until(() => performance.now() - since > STOPPED_MS, DEADLINE_MS, 'ten seconds');
    process.kill(agent, 'SIGCONT');
    await load.goesOn();
    expect(await load.tally()).toMatchObject({ failed: {}, keptEnd: '' });
    expect(await agentPid()).toBe(agent);
  });

  it('nobody is refused while neither a driver nor an agent runs', async () => {
    for (let round = 0; round < 3; round++) {
      const load = await Load.start(cleanup, host, 8080);
      const [agent, parent] = [await agentPid(), await driverPid()];
      await kill(parent);
      await kill(agent);
      await load.goesOn();
      const { failed } = await load.tally();
      expect(Object.keys(failed).filter((how) => !['ECONNRESET', 'cut'].includes(how))).toEqual([]);
    }
    expect((await driver.list()).map(({ id }) => id)).toEqual([1]);
  });
});
