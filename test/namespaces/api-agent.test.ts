/** Requests to the API whose agent has stopped or ended. */
import { beforeEach, expect, it } from 'vitest';
import { type Namespace, makeHost } from '../harness/namespaces.js';
import { userNamespaces } from '../harness/needs.js';
import { run } from '../harness/processes.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { type Endpoint, type RunningDriver, answersTo, startDriver } from './driver-support.js';

/** An agent that has stopped is waited for for 30 s. */
const DEADLINE_MS = 60_000;
/** The driver takes an agent that ends sooner for one that can't run. */
const SETTLED_MS = 1_100;
const ANSWER = '127.0.0.1 80';
const spec = (parentPort: number) =>
  ({ proto: 'tcp', parentIP: '127.0.0.1', parentPort, childPort: 80 }) as const;
const endpoint = (port: number): Endpoint => ['127.0.0.1', port];

describeWith([userNamespaces], 'a driver', () => {
  const cleanup = perTest();
  let host: Namespace;
  let driver: RunningDriver;
  let first: number;

  beforeEach(async () => {
    host = await makeHost(cleanup);
    driver = await startDriver(cleanup, host, { endpoints: [['127.0.0.1', 80]] });
    first = await agentAfter(0);
    const since = performance.now();
    await until(() => performance.now() - since > SETTLED_MS, DEADLINE_MS, 'a settled agent');
    await driver.add(spec(8080));
  });

  /** The agent that serves once `previous` is gone. */
  function agentAfter(previous: number): Promise<number> {
    const find = async () => (await driver.servingAgents()).find((pid) => pid !== previous);
    return driver.program.until(find, DEADLINE_MS, 'an agent');
  }

  it('gives an agent up that has stopped for good, adds the port and removes another one', async () => {
    process.kill(first, 'SIGSTOP');
    const answers = await Promise.all([driver.post(spec(8081)), driver.remove(1)]);
    expect(answers.map(({ status }) => status)).toEqual([201, 200]);
    expect(await agentAfter(first)).not.toBe(first);
    const endpoints = [endpoint(8080), endpoint(8081)];
    expect(await answersTo(host, endpoints)).toEqual(['ECONNREFUSED', ANSWER]);
    expect(driver.program.stderr).toMatch(
      /^level=warn .* event=agentReplaced pauseMs=0 msg="the agent ended by SIGKILL: the agent did not answer \w+ within 30 s; starting another"\n$/,
    );
  });

  it('removes a port at once while no agent runs', async () => {
    const spare = await driver.spareAgent();
    // Neither the agent nor its successor can go on.
    process.kill(spare, 'SIGSTOP');
    process.kill(first, 'SIGKILL');
    await until(async () => (await driver.servingAgents()).length === 0, DEADLINE_MS, 'no agent');
    expect(await driver.remove(1)).toEqual({ status: 200, body: '' });
    expect(await driver.servingAgents()).toEqual([]);
    expect(await answersTo(host, [endpoint(8080)])).toEqual(['ECONNREFUSED']);
    process.kill(spare, 'SIGCONT');
    await agentAfter(first);
    expect(await answersTo(host, [endpoint(8080)])).toEqual(['ECONNREFUSED']);
  });

  it('answers what was asked while an agent was killed, and refuses nobody meanwhile', async () => {
    const ports = Array.from({ length: 40 }, (_, index) => 9000 + index);
    const underWay = ports.map(async (port) => {
      const { id } = await driver.add(spec(port));
      return port % 2 === 0 ? (await driver.remove(id)).status : 200;
    });
    process.kill(first, 'SIGKILL');
    expect(await answersTo(host, [endpoint(8080)])).toEqual([ANSWER]);
    expect(await Promise.all(underWay)).toEqual(Array(40).fill(200));
    const kept = ports.filter((port) => port % 2 === 1);
    expect((await driver.list()).map((status) => status.spec.parentPort)).toEqual([8080, ...kept]);
    expect(await answersTo(host, ports.map(endpoint))).toEqual(
      ports.map((port) => (port % 2 === 1 ? ANSWER : 'ECONNREFUSED')),
    );
  });

  it('has its agent replaced by one that was started beforehand', async () => {
    const spare = await driver.spareAgent();
    process.kill(first, 'SIGKILL');
    expect(await agentAfter(first)).toBe(spare);
    expect(await answersTo(host, [endpoint(8080)])).toEqual([ANSWER]);
    const next = await driver.spareAgent();
    expect(await run(sluice('info', '--socket', driver.socketPath))).toContain(
      `    - ${next}: spare since `,
    );
  });

  it('starts another spare agent when that ends, and its ports don’t notice', async () => {
    const spare = await driver.spareAgent();
    process.kill(spare, 'SIGKILL');
    await driver.spareAgent(spare);
    expect(driver.program.stderr).toMatch(
      /^level=warn .* event=problem .*msg="there is no spare agent for a while: the agent ended by SIGKILL"\n$/,
    );
    expect((await driver.info()).portDriver?.agents).toMatchObject({ restarts: 0 });
    expect(await driver.servingAgents()).toEqual([first]);
  });

  it('takes longer and longer to replace agents that don’t stay up, and tells', async () => {
    let pid = first;
    for (const _ of [1, 2, 3]) {
      process.kill(pid, 'SIGKILL');
      const killed = pid;
      pid = await agentAfter(killed);
    }
    expect(await answersTo(host, [endpoint(8080)])).toEqual([ANSWER]);
    const { portDriver } = await driver.info();
    expect(portDriver?.agents).toMatchObject({
      restarts: 3,
      lastEnd: 'the agent ended by SIGKILL',
    });
    expect(await driver.servingAgents()).toEqual([pid]);
    expect(await run(sluice('info', '--socket', driver.socketPath))).toContain(
      '    - replaced: 3, the last time because the agent ended by SIGKILL\n',
    );
    const lines = driver.program.stderr.trimEnd().split('\n');
    expect(lines.map((line) => line.replace(/^.* msg=/, ''))).toEqual([
      '"the agent ended by SIGKILL; starting another"',
      '"the agent ended by SIGKILL; starting another in 100 ms"',
      '"the agent ended by SIGKILL; starting another in 200 ms"',
    ]);
  });
});
