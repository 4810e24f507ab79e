import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import type { Resolution } from '../../src/msg/agent-port.js';
import { DnatResolver } from '../../src/parent/dnat/resolver.js';
import { resolveDial } from '../../src/parent/resolve.js';
import { type Docker, startDocker } from '../harness/docker.js';
import { docker as needsDocker } from '../harness/needs.js';
import { describeWith, perSuite } from '../harness/suite.js';
import { IPV4, IPV6 } from './docker-support.js';

const ADDRESSES = '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.GlobalIPv6Address}}{{end}}';

describeWith([needsDocker], 'DNAT rules of rootless Docker', () => {
  const cleanup = perSuite();
  let docker: Docker;
  let pid: number;
  let resolver: DnatResolver;

  beforeAll(async () => {
    docker = await startDocker(cleanup, { portDriver: 'builtin' });
    pid = Number(readFileSync(join(docker.stateDir, 'child_pid'), 'utf8'));
    resolver = new DnatResolver({ pid });
  });

  async function publish(...options: string[]): Promise<{ port: number; ips: string[] }> {
    const id = await docker.runWeb(...options);
    const [published = ''] = (await docker.docker('port', id)).split('\n');
    const addresses = await docker.docker('inspect', '--format', ADDRESSES, id);
    return { port: Number(published.split(':').at(-1)), ips: addresses.split(' ') };
  }

  /** What an agent is told that dials `ip`. */
  function resolution(ip: string, port: number): Promise<Resolution> {
    const spec = { proto: 'tcp', parentPort: port, childIP: ip, childPort: port } as const;
    return resolveDial(spec, pid, resolver);
  }

  it('lead to the container, for its IPv6 port too', async () => {
    const { port, ips } = await publish('-p', '80');
    const target = [{ ip: ips[0], port: 80 }];

    expect(await resolver.resolve({ proto: 'tcp', ip: IPV4, port })).toEqual(target);
    for (const ip of [IPV4, IPV6]) {
      expect(await resolution(ip, port)).toMatchObject({ targets: target, isProxied: true });
    }
  });

  it('do not lead to the container of the other family’s port', async () => {
    const { port, ips } = await publish('-p', `${IPV4}::80`);
    const other = await docker.runWeb('-p', `[${IPV6}]:${port}:80`);
    const addresses = await docker.docker('inspect', '--format', ADDRESSES, other);
    const [otherIP] = addresses.split(' ');

    for (const [ip, target] of [
      [IPV4, ips[0]],
      [IPV6, otherIP],
    ] as const) {
      expect(await resolution(ip, port)).toMatchObject({
        targets: [{ ip: target, port: 80 }],
        isProxied: true,
      });
    }
  });

  it('do not lead to a container for a port of IPv6 that was never published', async () => {
    const { port } = await publish('-p', `${IPV4}::80`);

    expect(await resolution(IPV6, port)).toMatchObject({ targets: [], isProxied: false });
  });

  it("lead to the container's own IPv6 address on a network that has IPv6", async () => {
    await docker.docker('network', 'create', '--ipv6', '--subnet', 'fd00:7::/64', 'six');
    const { port, ips } = await publish('--network', 'six', '-p', `[${IPV6}]::80`);

    expect(await resolver.resolve({ proto: 'tcp', ip: IPV6, port })).toEqual([
      { ip: ips[1], port: 80 },
    ]);
  });
});
