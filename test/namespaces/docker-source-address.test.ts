import { afterEach, beforeAll, expect, it } from 'vitest';
import { type Docker, WHO_PATH, sluiceOptions, startDocker } from '../harness/docker.js';
import { makeHostWithSubids } from '../harness/host-with-subids.js';
import {
  CLIENT_ADDRESS,
  HOST_ADDRESS,
  type Namespace,
  makeClient,
  runIn,
} from '../harness/namespaces.js';
import { docker as needsDocker, tool } from '../harness/needs.js';
import { describeWith, perSuite } from '../harness/suite.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 20_000;
/** In a namespace of the test's own every port is free. */
const PORT = 8080;

/** A client at its own address and port, as it is and as the container sees it. */
async function clientOf(client: Namespace, host: string): Promise<{ real: string; seen: string }> {
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${PORT}${WHO_PATH}`;
  const format = '%{local_ip} %{local_port}';
  const curl = ['curl', '--silent', '--show-error', '--fail', '--max-time', '10'];
  const output = await runIn(client, [...curl, '--write-out', format, url]);
  const [who = '', real = ''] = output.split('\n');
  return { real, seen: who.replace('web ', '').replaceAll(/[[\]]/g, '') };
}

for (const proxy of [true, false]) {
  describeWith([needsDocker, tool('curl')], `a container, userland-proxy ${proxy}`, () => {
    const suite = perSuite();
    let docker: Docker;
    let client: Namespace;

    beforeAll(async () => {
      const host = await makeHostWithSubids(suite);
      client = await makeClient(suite, host);
      const dockerdFlags = [`--userland-proxy=${proxy}`];
      docker = await startDocker(suite, { ...sluiceOptions(suite), dockerdFlags, host });
      await docker.docker('network', 'create', '--ipv6', '--subnet=fd00:6::/64', 'six');
    });

    afterEach(() => docker.removeContainers());

    it.each([
      ['bridge', HOST_ADDRESS.v4, CLIENT_ADDRESS.v4],
      ['six', HOST_ADDRESS.v4, CLIENT_ADDRESS.v4],
      ['six', HOST_ADDRESS.v6, CLIENT_ADDRESS.v6],
    ])('on network %s, port of %s, sees its client %s', async (network, host, address) => {
      await docker.runWeb('--hostname=web', `--network=${network}`, '-p', `${PORT}:80`);
      const answer = () => clientOf(client, host);
      const { real, seen } = await until(answer, DEADLINE_MS, `an answer on ${host}`);
      expect(real).toMatch(new RegExp(`^${address} \\d+$`));
      expect(seen).toBe(real);
    });

    it('serves an IPv6 client of a container without IPv6', async () => {
      await docker.runWeb('--hostname=web', '-p', `${PORT}:80`);
      const answer = () => clientOf(client, HOST_ADDRESS.v6);
      const { real } = await until(answer, DEADLINE_MS, 'an answer over IPv6');
      expect(real).toMatch(new RegExp(`^${CLIENT_ADDRESS.v6} \\d+$`));
    });
  });
}
