/** dockerd goes on with its ports whatever happens to the processes that publish them. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type Docker, sluiceOptions, startDocker } from '../harness/docker.js';
import { docker as needsDocker } from '../harness/needs.js';
import { assertFree, freePort } from '../harness/ports.js';
import { run } from '../harness/processes.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perTest } from '../harness/suite.js';
import { answeringBoth, expectNoPorts } from './docker-support.js';
import { RunningDriver } from './driver-support.js';
import { driverOf } from './survive-support.js';

const EVENTS = [
  [
    'its agent is killed',
    async (driver: RunningDriver) =>
      process.kill((await driver.servingAgents())[0] ?? 0, 'SIGKILL'),
  ],
  [
    'the driver is killed',
    async (driver: RunningDriver) => process.kill(driverOf(driver.program.pid) ?? 0, 'SIGKILL'),
  ],
  [
    'sluice is reloaded',
    async (driver: RunningDriver) => run(sluice('reload', '--socket', driver.socketPath)),
  ],
] as const;

describeWith([needsDocker], 'a dockerd', () => {
  const cleanup = perTest();

  it.each(EVENTS)('keeps, removes and publishes ports when %s', async (_, happen) => {
    const docker: Docker = await startDocker(cleanup, sluiceOptions(cleanup));
    const driver = new RunningDriver(docker.program, join(docker.stateDir, 'api.sock'));
    const [kept, stopped] = [await freePort(), await freePort()];
    await docker.runWeb('--name=kept', '--hostname=kept', '-p', `${kept}:80`);
    await docker.runWeb('--name=stopped', '--hostname=stopped', '-p', `${stopped}:80`);
    expect(await answeringBoth(stopped)).toEqual(['stopped', 'stopped']);
    const before = await docker.ports();

    await happen(driver);
    expect(await answeringBoth(kept)).toEqual(['kept', 'kept']);
    expect(await docker.ports()).toEqual(before);

    await docker.docker('stop', 'stopped');
    await assertFree(stopped);
    await docker.docker('start', 'stopped');
    expect(await answeringBoth(stopped)).toEqual(['stopped', 'stopped']);
    await docker.removeContainers();
    await expectNoPorts(docker);
  });
});
