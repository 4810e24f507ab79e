/** Docker 20.10 starts rootlesskit-docker-proxy for each port, and that one asks the API. */
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { afterEach, beforeAll, expect, it } from 'vitest';
import { type Docker, sluiceOptions, startDocker } from '../harness/docker.js';
import { oldDocker } from '../harness/needs.js';
import { OLD_DOCKER_PREFIX } from '../harness/paths.js';
import { assertFree, freePort } from '../harness/ports.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import {
  IPV4,
  IPV6,
  answering,
  answeringBoth,
  expectNoPorts,
  expectRefused,
} from './docker-support.js';

/** The programs whose arguments have all of `words`. */
function programsWith(...words: readonly string[]): string[] {
  const commands = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      } catch {
        return []; // It ended meanwhile.
      }
    });
  return commands
    .filter((command) => words.every((word) => command.includes(word)))
    .map(([program = '']) => program.split('/').at(-1) ?? '')
    .toSorted();
}

describeWith([oldDocker], 'rootlesskit-docker-proxy of Docker 20.10', () => {
  const suite = perSuite();
  const test = perTest();
  let docker: Docker;

  beforeAll(async () => {
    docker = await startDocker(suite, { ...sluiceOptions(suite), prefix: OLD_DOCKER_PREFIX });
  });

  afterEach(async () => {
    await docker.removeContainers();
    await expectNoPorts(docker);
  });

  it('publishes on both families, with a request for each', async () => {
    const port = await freePort();
    await docker.runWeb('--hostname=web', '-p', `${port}:80`);
    expect(await docker.docker('version', '--format', '{{.Server.Version}}')).toMatch(/^20\.10\./);
    const each = ['docker-proxy', 'rootlesskit-docker-proxy'];
    expect(programsWith('-host-port', String(port))).toEqual([...each, ...each].toSorted());

    expect(await answeringBoth(port)).toEqual(['web', 'web']);
    const ports = { parentPort: port, childPort: port };
    expect((await docker.ports()).map(({ spec }) => spec)).toEqual([
      { proto: 'tcp4', parentIP: '0.0.0.0', ...ports, childIP: '127.0.0.1' },
      { proto: 'tcp6', parentIP: '::', ...ports, childIP: '::1' },
    ]);
  });

  it.each([
    [IPV4, `${IPV4}:`, IPV6],
    [IPV6, `[${IPV6}]:`, IPV4],
  ])('publishes on %s alone, and frees the port with the container', async (host, on, other) => {
    const port = await freePort();
    const id = await docker.runWeb('--hostname=web', '-p', `${on}${port}:80`);
    expect(await answering(port, host)).toBe('web');
    await expectRefused(port, other);
    await docker.docker('rm', '--force', id);
    await assertFree(port);
  });

  it('is free again when its container is stopped, and served when it is started', async () => {
    const port = await freePort();
    const id = await docker.runWeb('--hostname=web', '-p', `${port}:80`);
    await docker.docker('stop', '--time=0', id);
    await assertFree(port);
    await docker.docker('start', id);
    expect(await answeringBoth(port)).toEqual(['web', 'web']);
  });

  it('tells the user why a port was refused', async () => {
    const port = await freePort();
    const rival = createServer().listen(port, IPV4);
    await once(rival, 'listening');
    test.defer(() => new Promise((resolve) => rival.close(resolve)));
    await expect(docker.runWeb('-p', `${port}:80`)).rejects.toThrow(
      `cannot listen on 0.0.0.0:${port}/tcp4: the port is in use by node (pid ${process.pid}); stop it or choose another port`,
    );
  });
});
