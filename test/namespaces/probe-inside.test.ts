/** What `sluice probe` sees inside, and the reasons that it finds. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatAddress } from '../../src/msg/sockaddr.js';
import { beforeAll, describe, expect, it } from 'vitest';
import { runIn } from '../harness/namespaces.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import {
  CONTAINER,
  FAMILIES,
  GONE,
  LOOPBACK,
  NOBODY,
  PORT,
  PUBLISHED,
  Published,
  WILDCARD,
  publishAll,
} from './probe-support.js';

const SECOND = { v4: '198.51.100.7', v6: 'fd00:1::7' } as const;
const DEPRECATED = 'preferred_lft 0';
const CASES = (['tcp', 'udp'] as const).flatMap((proto) =>
  FAMILIES.map((family) => [proto, family] as const),
);

describeWith([userNamespaces, tool('ip')], 'a probe of a published port', () => {
  const suite = perSuite();
  const cleanup = perTest();
  let published: Published;

  beforeAll(async () => {
    published = await publishAll(suite);
    // Nothing is sent from the second addresses unless a server is bound to them.
    const devices = Object.values(SECOND).map((ip) => `ip addr add ${ip} dev host0 ${DEPRECATED}`);
    await runIn(published.container, ['sh', '-e', '-c', devices.join('\n')]);
  });

  describe.each(CASES)('of %s that leads to the container over %s', (proto, family) => {
    const where = `${family === 'v6' ? `[${CONTAINER.v6}]` : CONTAINER.v4}:${PORT}`;
    const owner = { kind: 'container', isPaused: false };

    it('tells what answers there', async () => {
      await published.serve(cleanup, 'answers', proto, WILDCARD[family]);
      const view = await published.view(proto, family);
      expect(view).toMatchObject({
        verdict: 'answered',
        published: { spec: { parentPort: PUBLISHED[family], childIP: CONTAINER[family] } },
        inside: [
          {
            ip: CONTAINER[family],
            port: PORT,
            transport: proto,
            verdict: 'answered',
            origin: 'port',
            owner: { ...owner, bound: [WILDCARD[family]] },
          },
        ],
      });
      expect(view.reason).toBeUndefined();
    });

    it('says that nothing listens', async () => {
      const view = await published.view(proto, family);
      expect(view.inside).toMatchObject([{ verdict: 'refused', owner: { ...owner, bound: [] } }]);
      expect(view.reason).toEqual({
        code: 'notListening',
        text: `nothing listens on ${where} in the container`,
        remedy: 'see in its log whether the server runs, and which port it listens on',
      });
    });

    it('says that the server listens on loopback only', async () => {
      await published.serve(cleanup, 'answers', proto, LOOPBACK[family]);
      const view = await published.view(proto, family);
      expect(view.inside).toMatchObject([
        {
          verdict: 'refused',
          within: { verdict: 'refused' },
          owner: { bound: [LOOPBACK[family]] },
        },
      ]);
      const loopback = family === 'v6' ? '[::1]' : LOOPBACK.v4;
      expect(view.reason).toEqual({
        code: 'wrongAddress',
        text: `nothing listens on ${where} in the container; the server listens on ${loopback}:${PORT} only`,
        remedy: 'have the server listen on all addresses: 0.0.0.0 and ::',
      });
    });

    it('says that nobody has the address', async () => {
      const view = await published.view(proto, family, GONE);
      expect(view.inside).toMatchObject([{ owner: { kind: 'nobody', bound: [] } }]);
      expect(view.reason).toEqual({
        code: 'gone',
        text: `nobody inside has the address ${NOBODY[family]}, where the port leads to: the container is gone`,
        remedy: 'start the container again; if it runs, restart it',
      });
    });
  });

  it.each(FAMILIES)('tells that a server of UDP over %s answers from elsewhere', async (family) => {
    await published.serve(cleanup, 'answers', 'udp', SECOND[family], CONTAINER[family]);
    const view = await published.view('udp', family);
    expect(view).toMatchObject({ verdict: 'silent', inside: [{ verdict: 'astray' }] });
    const [second, container] = [SECOND[family], CONTAINER[family]].map((ip) =>
      formatAddress({ ip, port: PORT }),
    );
    expect(view.reason).toMatchObject({
      code: 'astray',
      text: `the server answers from ${second} instead of ${container}, and such an answer is dropped`,
    });
  });

  it.each(FAMILIES)('has no reason where a server of UDP over %s only listens', async (family) => {
    await published.serve(cleanup, 'listens', 'udp', CONTAINER[family]);
    const view = await published.view('udp', family);
    expect(view).toMatchObject({
      verdict: 'silent',
      inside: [{ verdict: 'silent', owner: { bound: [CONTAINER[family]] } }],
    });
    expect(view.reason).toBeUndefined();
    const { stdout } = await published.output(`127.0.0.1:${PUBLISHED[family]}/udp`);
    expect(stdout).toContain('a socket is bound there; a server that only listens answers nothing');
  });

  it.each(FAMILIES)('says that a server over %s ends its connections', async (family) => {
    await published.serve(cleanup, 'ends', 'tcp', WILDCARD[family]);
    const view = await published.view('tcp', family);
    expect(view).toMatchObject({ verdict: 'closed', inside: [{ verdict: 'closed' }] });
    expect(view.reason).toMatchObject({ code: 'ended' });
  });

  it('says that a server listens on IPv6 alone', async () => {
    await published.serve(cleanup, 'answers', 'tcp', WILDCARD.v6);
    const { reason } = await published.view('tcp', 'v4');
    expect(reason).toMatchObject({
      code: 'wrongAddress',
      text: `nothing listens on ${CONTAINER.v4}:80 in the container; the server listens on [::]:80 only, for IPv6 alone`,
    });
  });

  it('knows a wildcard of IPv6 that takes IPv4 as well', async () => {
    await published.serve(cleanup, 'answers', 'tcp', 'dual');
    const view = await published.view('tcp', 'v4');
    expect(view).toMatchObject({ verdict: 'answered', inside: [{ owner: { bound: ['::'] } }] });
  });

  it('says that the container is paused, although its connections stand', async () => {
    const server = await published.serve(cleanup, 'answers', 'tcp', WILDCARD.v4);
    const pids = [server.pid, published.container.pid];
    cleanup.defer(() => pids.forEach((pid) => process.kill(pid, 'SIGCONT')));
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    const view = await published.view('tcp', 'v4');
    expect(view).toMatchObject({ verdict: 'connected', inside: [{ verdict: 'connected' }] });
    expect(view.reason).toMatchObject({
      code: 'paused',
      text: `all processes of the container with ${CONTAINER.v4} are stopped: connections stand, nobody answers`,
    });
  });

  // No test may freeze a control group of the machine's: the file stands for it.
  it('says that the container is paused where its control group is frozen', async () => {
    const groups = readFileSync(`/proc/${published.container.pid}/cgroup`, 'utf8');
    const [, group = '/'] = /^0::(.*)$/m.exec(groups) ?? [];
    const folder = join('/sys/fs/cgroup', group);
    const freeze = [
      'mount -t tmpfs tmpfs /sys/fs/cgroup',
      `mkdir -p '${folder}'`,
      `printf 'populated 1\\nfrozen 1\\n' >'${folder}/cgroup.events'`,
    ];
    await runIn(published.host, ['sh', '-e', '-c', freeze.join('\n')]);
    cleanup.defer(() => runIn(published.host, ['umount', '/sys/fs/cgroup']));
    expect((await published.view('udp', 'v6')).reason).toMatchObject({ code: 'paused' });
  });
});
