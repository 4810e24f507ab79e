/** Those who may start no process, or open no file, say so and recover once they may again. */
import { beforeEach, expect, it } from 'vitest';
import { type Namespace, makeHost } from '../harness/namespaces.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { run } from '../harness/processes.js';
import { describeWith, perTest } from '../harness/suite.js';
import { AgentProbe } from '../harness/tcp-agent.js';
import { until } from '../harness/wait.js';
import { answersTo, type RunningDriver, startDriver } from './driver-support.js';
import { driverOf, isRunning } from './survive-support.js';

const DEADLINE_MS = 30_000;
const ANSWER = '127.0.0.1 80';
const spec = { proto: 'tcp', parentIP: '127.0.0.1', parentPort: 8080, childPort: 80 } as const;

const STARVED = [
  // Standard input, output and error are taken.
  { limit: 'nofile', soft: 3, errno: 'EMFILE', remedy: /EMFILE|\(ulimit -n\)/ },
  { limit: 'nproc', soft: 1, errno: 'EAGAIN', remedy: /may have no more processes \(ulimit -u\)/ },
] as const;

function setLimit(pid: number, limit: string, soft: number | string): Promise<string> {
  return run(['prlimit', `--pid=${pid}`, `--${limit}=${soft}:`]);
}

/** Which a soft limit may be raised to. */
async function hardLimit(pid: number, limit: string): Promise<string> {
  return (
    await run(['prlimit', `--pid=${pid}`, `--${limit}`, '--noheadings', '--output=HARD'])
  ).trim();
}

describeWith([userNamespaces, tool('prlimit')], 'short of processes or files', () => {
  const cleanup = perTest();
  let host: Namespace;
  let driver: RunningDriver;
  let parent: number;

  beforeEach(async () => {
    host = await makeHost(cleanup);
    driver = await startDriver(cleanup, host, { endpoints: [['127.0.0.1', 80]] });
    await driver.add(spec);
    parent = await driver.program.until(
      () => driverOf(driver.program.pid),
      DEADLINE_MS,
      'the driver',
    );
  });

  const answer = () => answersTo(host, [['127.0.0.1', spec.parentPort]]);

  it.each(STARVED)('a driver that has no $limit left replaces its agent later', async (starved) => {
    const { limit, soft, remedy } = starved;
    const hard = await hardLimit(parent, limit);
    const [agent = 0] = await driver.servingAgents();
    process.kill(await driver.spareAgent(), 'SIGKILL');
    await driver.program.line(/there is no spare agent/, DEADLINE_MS);
    const fdsBefore = new AgentProbe(parent).fds().length;
    await setLimit(parent, limit, soft);
    process.kill(agent, 'SIGKILL');
    const waiting = answer();
    const [line] = await driver.program.line(/^.*; starting another in 200 ms"$/m, DEADLINE_MS);
    expect(line).toMatch(remedy);

    await setLimit(parent, limit, hard);
    expect(await waiting).toEqual([ANSWER]);
    expect(isRunning(parent)).toBe(true);
    expect(await driver.list()).toEqual([{ id: 1, spec }]);
    const fds = () => new AgentProbe(parent).fds().length;
    await until(() => fds() <= fdsBefore, DEADLINE_MS, `${fdsBefore} fds as before`);
    expect(await driver.add({ ...spec, parentPort: 8081 })).toMatchObject({ id: 2 });
  });

  it.each(STARVED)(
    'a launcher that has no $limit left starts its driver later',
    async (starved) => {
      const { limit, soft, errno } = starved;
      const launcher = driver.program.pid;
      const hard = await hardLimit(launcher, limit);
      await setLimit(launcher, limit, soft);
      process.kill(parent, 'SIGKILL');
      await driver.program.line(
        new RegExp(`ended before it began \\(.*${errno}\\).* again in 200 ms"$`, 'm'),
        DEADLINE_MS,
      );
      expect(await answer()).toEqual([ANSWER]);

      await setLimit(launcher, limit, hard);
      const list = () => driver.list().catch(() => undefined);
      expect(await until(list, DEADLINE_MS, 'a driver')).toEqual([{ id: 1, spec }]);
      expect(await answer()).toEqual([ANSWER]);
    },
  );
});
