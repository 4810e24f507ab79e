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

  // The namespaces end with dockerd, and the next one ends the containers that are still there:
  // live restore can't keep them, and the restart policy works by chance only, without us too.
  it.each([
    { signal: 'SIGKILL', code: 255, dockerdFlags: [] },
    { signal: 'SIGTERM', code: 0, dockerdFlags: ['--live-restore'] },
  ] as const)('are free, and there again with the next one: $signal $dockerdFlags', async (how) => {
    const { signal, dockerdFlags } = how;
    const docker = await startDocker(cleanup, { ...sluiceOptions(cleanup), dockerdFlags });
    const names = ['one', 'other'] as const;
    const ports = { one: await freePort(), other: await freePort() };
    for (const name of names) {
      await docker.runWeb(`--name=${name}`, `--hostname=${name}`, '-p', `${ports[name]}:80`);
      expect(await answeringBoth(ports[name])).toEqual([name, name]);
    }

    process.kill(pidOfDockerd(docker), signal);
    expect((await docker.program.exited(DEADLINE_MS)).code).toBe(how.code);
    for (const name of names) await assertFree(ports[name]);

    await docker.start();
    await docker.docker('start', ...names);
    for (const name of names) expect(await answeringBoth(ports[name])).toEqual([name, name]);
    await docker.removeContainers();
    expect(await docker.ports()).toEqual([]);
  });
});
