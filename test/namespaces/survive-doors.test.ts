/** Agents that a later driver can't take over, because the kernel refuses pidfd_getfd(2). */
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { type Namespace, makeHost } from '../harness/namespaces.js';
import { userNamespaces } from '../harness/needs.js';
import { REPOSITORY } from '../harness/paths.js';
import { run } from '../harness/processes.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { type RunningDriver, startDriver } from './driver-support.js';
import { driverOf, ECHO_SERVER, isRunning, Load } from './survive-support.js';

const DEADLINE_MS = 30_000;
const FILTER = [process.execPath, join(REPOSITORY, 'test/harness/refuse-pidfd-getfd.mjs')];
const WHY =
  'pidfd_getfd failed: EPERM; a security module, a seccomp filter, or capabilities of the Node.js binary forbid it';
const spec = (parentPort: number, proto: 'tcp' | 'udp' = 'tcp') =>
  ({ proto, parentIP: '127.0.0.1', parentPort, childPort: 80 }) as const;

describeWith([userNamespaces], 'where no agent can be taken over', () => {
  const cleanup = perTest();
  let host: Namespace;
  let driver: RunningDriver;

  beforeEach(async () => {
    host = await makeHost(cleanup);
    driver = await startDriver(cleanup, host, { command: ECHO_SERVER, by: FILTER });
    await driver.add(spec(8080));
    await driver.add(spec(8081, 'udp'));
  });

  it('a driver says so at its start', () => {
    expect(driver.program.stderr).toMatch(
      /^level=warn .* code=ERR_AGENT_DOOR msg="connections will end if this driver is killed, .*"\n$/,
    );
    expect(driver.program.stderr).toContain(WHY);
  });

  it('a driver that is killed ends its agent, and its ports go on with another one', async () => {
    const load = await Load.start(cleanup, host, 8080);
    const [agent = 0] = await driver.servingAgents();
    const parent = driverOf(driver.program.pid) ?? 0;
    process.kill(parent, 'SIGKILL');
    await until(() => !isRunning(parent), DEADLINE_MS, 'the end of the driver');
    expect(await driver.list()).toEqual([
      { id: 1, spec: spec(8080) },
      { id: 2, spec: spec(8081, 'udp') },
    ]);
    expect(await driver.servingAgents()).not.toContain(agent);
    expect(isRunning(agent)).toBe(false);
    await load.goesOn();
    const { failed } = await load.tally();
    expect(Object.keys(failed).filter((how) => !['ECONNRESET', 'cut'].includes(how))).toEqual([]);
    expect(driver.program.stderr).toContain(`agent ${agent} could not be taken over: ${WHY}`);
  });

  it('sluice reload refuses before anything ends', async () => {
    const load = await Load.start(cleanup, host, 8080);
    await expect(run(sluice('reload', '--socket', driver.socketPath))).rejects.toThrow(
      'the agents can’t be handed over to another driver, and their connections would end',
    );
    await load.goesOn();
    expect(await load.tally()).toMatchObject({ failed: {}, keptEnd: '' });
  });

  it('the doctor says so', async () => {
    const [node = '', filter = ''] = FILTER;
    const report = await run([node, filter, ...sluice('doctor')]).catch((error: unknown) =>
      String(error),
    );
    expect(report).toMatch(/takeover.*pidfd_getfd failed: EPERM/);
  });
});
