/** Current dockerd has no port mapper plugins yet, but it finds ours where it finds every plugin. */
import { expect, it } from 'vitest';
import { sluiceOptions, startDocker } from '../harness/docker.js';
import { docker as needsDocker } from '../harness/needs.js';
import { start } from '../harness/processes.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perTest } from '../harness/suite.js';

const DEADLINE_MS = 20_000;

describeWith([needsDocker], 'rootless dockerd', () => {
  const cleanup = perTest();

  it('finds the port mapper plugin, and learns that it is nothing else', async () => {
    const docker = await startDocker(cleanup, sluiceOptions(cleanup));
    const options = ['--socket', `${docker.stateDir}/api.sock`];
    const plugin = await start(cleanup, sluice('portmapper', ...options));
    await plugin.line(/^serving on /m, DEADLINE_MS);
    // Of a plugin that it does not find it says so, after fifteen seconds.
    const createVolume = docker.docker('volume', 'create', '--driver=sluice');
    await expect(createVolume).rejects.toThrow(/[Pp]lugin does not implement the requested driver/);
  });
});
