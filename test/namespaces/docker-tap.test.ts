import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, expect, it } from 'vitest';
import type { Info } from '../../src/parent/api/info.js';
import { type Docker, sluiceOptions, startDocker } from '../harness/docker.js';
import { makeHostWithSubids } from '../harness/host-with-subids.js';
import { ask } from '../harness/http.js';
import { CLIENT_ADDRESS, HOST_ADDRESS, type Namespace, makeClient } from '../harness/namespaces.js';
import { docker as needsDocker, tool } from '../harness/needs.js';
import { describeWith, perSuite } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { askWho } from '../harness/who.js';
import { IPV4, expectNoPorts } from './docker-support.js';

const DEADLINE_MS = 20_000;
/** In a namespace of the test's own every port is free. */
const PORT = 8080;

describeWith([needsDocker, tool('curl')], 'docker with --child-host-ip=tap', () => {
  const suite = perSuite();
  let docker: Docker;
  let host: Namespace;
  let client: Namespace;

  beforeAll(async () => {
    host = await makeHostWithSubids(suite);
    client = await makeClient(suite, host);
    const rootlesskitFlags = ['--child-host-ip=tap'];
    docker = await startDocker(suite, { ...sluiceOptions(suite), rootlesskitFlags, host });
  });

  afterEach(async () => {
    await docker.removeContainers();
    await expectNoPorts(docker);
  });

  async function info(): Promise<Info> {
    const { body } = await ask({ socketPath: join(docker.stateDir, 'api.sock'), path: '/v1/info' });
    return JSON.parse(body) as Info;
  }

  it('tells dockerd to use no loopback address, and IPv4 alone', async () => {
    expect((await info()).portDriver).toMatchObject({
      disallowLoopbackChildIP: true,
      protos: ['tcp', 'tcp4', 'udp', 'udp4'],
    });
  });

  it('is no option that rootlesskit gets', () => {
    const child = readFileSync(join(docker.stateDir, 'child_pid'), 'utf8');
    const words = readFileSync(`/proc/${child}/cmdline`, 'utf8').split('\0');
    expect(words).toContain('--port-driver=none');
    expect(words.filter((word) => word.includes('child-host-ip'))).toEqual([]);
  });

  it('publishes on the address of the tap', async () => {
    await docker.runWeb('-p', `${PORT}:80`);
    const tap = (await info()).networkDriver?.childIP;
    expect(tap).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
    const [first, ...others] = await docker.ports();
    // As dockerd writes it, and looks for it to remove the port.
    const childIP = `::ffff:${tap}`;
    expect(first?.spec).toMatchObject({ proto: 'tcp4', childIP, parentPort: PORT });
    expect(others).toEqual([]);
  });

  it('serves clients on the loopback of the host', async () => {
    await docker.runWeb('-p', `${PORT}:80`);
    const answer = () => askWho(host, IPV4, PORT);
    const { real } = await until(answer, DEADLINE_MS, 'an answer to the host');
    expect(real).toMatch(new RegExp(`^${IPV4} `));
  });

  it('shows the container the address of its client', async () => {
    await docker.runWeb('-p', `${PORT}:80`);
    const answer = () => askWho(client, HOST_ADDRESS.v4, PORT);
    const { real, seen } = await until(answer, DEADLINE_MS, 'an answer to the client');
    expect(real).toMatch(new RegExp(`^${CLIENT_ADDRESS.v4} \\d+$`));
    expect(seen).toBe(real);
  });
});
