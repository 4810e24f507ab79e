import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { DnatResolver } from '../../src/parent/dnat/resolver.js';
import { type Docker, WEB_IMAGE, startDocker } from '../harness/docker.js';
import { docker as needsDocker } from '../harness/needs.js';
import { describeWith, perSuite } from '../harness/suite.js';

const ADDRESSES = '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.GlobalIPv6Address}}{{end}}';

describeWith([needsDocker], 'DNAT rules of rootless Docker', () => {
  const cleanup = perSuite();
  let docker: Docker;
  let resolver: DnatResolver;

  beforeAll(async () => {
    docker = await startDocker(cleanup, { portDriver: 'builtin' });
    const pid = Number(readFileSync(join(docker.stateDir, 'child_pid'), 'utf8'));
    resolver = new DnatResolver({ pid });
  });

  async function publish(...options: string[]): Promise<{ port: number; ips: string[] }> {
    const id = await docker.docker('run', '--detach', ...options, WEB_IMAGE);
    const [published = ''] = (await docker.docker('port', id)).split('\n');
    const addresses = await docker.docker('inspect', '--format', ADDRESSES, id);
    return { port: Number(published.split(':').at(-1)), ips: addresses.split(' ') };
  }

  it('lead to the container, for its IPv6 port too', async () => {
    const { port, ips } = await publish('-p', '127.0.0.1::80');
    const target = [{ ip: ips[0], port: 80 }];

    expect(await resolver.resolve({ proto: 'tcp', ip: '127.0.0.1', port })).toEqual(target);
    expect(await resolver.resolve({ proto: 'tcp', ip: '::1', port })).toEqual(target);
  });

  it("lead to the container's own IPv6 address on a network that has IPv6", async () => {
    await docker.docker('network', 'create', '--ipv6', '--subnet', 'fd00:7::/64', 'six');
    const { port, ips } = await publish('--network', 'six', '-p', '[::1]::80');

    expect(await resolver.resolve({ proto: 'tcp', ip: '::1', port })).toEqual([
      { ip: ips[1], port: 80 },
    ]);
  });
});
