/** What users see of their ports when dockerd ends in another way than by `docker stop`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type Docker, sluiceOptions, startDocker } from '../harness/docker.js';
import { docker as needsDocker } from '../harness/needs.js';
import { assertFree, freePort } from '../harness/ports.js';
import { describeWith, perTest } from '../harness/suite.js';
import { answeringBoth } from './docker-support.js';

const DEADLINE_MS = 30_000;

function pidOfDockerd({ socket }: Docker): number {
  return Number(readFileSync(join(socket, '../docker.pid'), 'utf8'));
}

describeWith([needsDocker], 'the ports of a dockerd that ends', () => {
  const cleanup = perTest();

  // The namespaces end with dockerd, so containers can't be taken over by the next one: live
  // restore changes nothing for them but that their restart policy no longer counts.
  it.each([
    { signal: 'SIGKILL', dockerdFlags: [] },
    { signal: 'SIGTERM', dockerdFlags: ['--live-restore'] },
  ] as const)('are free, and there again with the next one: $signal $dockerdFlags', async (how) => {
    const { signal, dockerdFlags } = how;
    const docker = await startDocker(cleanup, { ...sluiceOptions(cleanup), dockerdFlags });
    const [first, second] = [await freePort(), await freePort()];
    const always = ['--restart=always', '--hostname=always', '-p', `${first}:80`];
    await docker.runWeb('--name=always', ...always);
    await docker.runWeb('--name=manual', '--hostname=manual', '-p', `${second}:80`);
    expect(await answeringBoth(first)).toEqual(['always', 'always']);

    process.kill(pidOfDockerd(docker), signal);
    const { code } = await docker.program.exited(DEADLINE_MS);
    expect(code).toBe(signal === 'SIGKILL' ? 255 : 0);
    await assertFree(first);
    await assertFree(second);

    await docker.start();
    if (signal === 'SIGTERM') await docker.docker('start', 'always');
    await docker.docker('start', 'manual');
    expect(await answeringBoth(first)).toEqual(['always', 'always']);
    expect(await answeringBoth(second)).toEqual(['manual', 'manual']);
    await docker.removeContainers();
    expect(await docker.ports()).toEqual([]);
  });
});
