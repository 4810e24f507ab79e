import { beforeAll, expect, it } from 'vitest';
import { type Docker, WEB_BODY, WEB_IMAGE, startDocker } from '../harness/docker.js';
import { ask } from '../harness/http.js';
import { docker as needsDocker } from '../harness/needs.js';
import { describeWith, perSuite } from '../harness/suite.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 20_000;

/** The peer as it is without us: what fails here is the machine's fault. */
describeWith([needsDocker], 'rootless Docker with its builtin port driver', () => {
  const cleanup = perSuite();
  let docker: Docker;

  beforeAll(async () => {
    docker = await startDocker(cleanup, { portDriver: 'builtin' });
  });

  it('answers an HTTP request on a published loopback port', async () => {
    const id = await docker.docker('run', '--detach', '-p', '127.0.0.1:0:80', WEB_IMAGE);
    const published = await docker.docker('port', id, '80/tcp');
    const [host, port] = published.split(':');

    expect(host).toBe('127.0.0.1');
    // The container runs before its server listens.
    const page = () => ask({ host, port, path: '/index.html' });
    const answer = await until(page, DEADLINE_MS, 'an answer of the container');
    expect(answer).toEqual({ status: 200, body: WEB_BODY });
  });

  it('frees the host port when the container is removed', async () => {
    const id = await docker.docker('run', '--detach', '-p', '127.0.0.1:0:80', WEB_IMAGE);
    const [host, port] = (await docker.docker('port', id, '80/tcp')).split(':');
    await docker.docker('rm', '--force', id);

    await expect(ask({ host, port })).rejects.toThrow('ECONNREFUSED');
  });
});
