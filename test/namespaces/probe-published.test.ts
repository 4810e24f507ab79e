/** Which published port `sluice probe` looks into, and what it says without one. */
import { beforeAll, expect, it } from 'vitest';
import { join } from 'node:path';
import { temporaryFolder } from '../harness/cleanup.js';
import { enter } from '../harness/namespaces.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { outputOf } from '../unit/support/cli.js';
import { publish } from './dnat-support.js';
import {
  CONTAINER,
  NOBODY,
  PUBLISHED,
  type Published,
  WILDCARD,
  publishAll,
} from './probe-support.js';

const NEEDS = [userNamespaces, ...['ip', 'iptables-nft', 'ip6tables-nft'].map(tool)];

describeWith(NEEDS, 'a probe of what may be published', () => {
  const suite = perSuite();
  const cleanup = perTest();
  let published: Published;

  beforeAll(async () => {
    published = await publishAll(suite);
  });

  const add = async (parentIP: string, parentPort: number, childPort: number, childIP = '') => {
    const proto = 'tcp';
    const { id } = await published.driver.add({ proto, parentIP, parentPort, childPort, childIP });
    cleanup.defer(() => published.driver.remove(id));
    return id;
  };

  const addressesOf = async (port: number) =>
    (await published.views(String(port))).views.map(({ ip }) => ip);

  it('prints what it sees on both sides', async () => {
    const { code, stdout } = await published.output(`${PUBLISHED.v6}`);
    expect(code).toBe(1);
    expect(stdout.replaceAll(/[\d.]+ ms/g, '… ms')).toBe(
      [
        '127.0.0.1:8006/tcp: connected, but reset by the other side after … ms without a byte: a server that ends at once, or a forwarder that found none behind it',
        '  published: 127.0.0.1:8006:[fd00:1::2]:80/tcp, ID 3',
        '  inside: [fd00:1::2]:80, as the port says: refused (ECONNREFUSED) after … ms',
        '  reason: nothing listens on [fd00:1::2]:80 in the container',
        '  remedy: see in its log whether the server runs, and which port it listens on',
        '',
      ].join('\n'),
    );
  });

  it('names the ports that may be meant, the likeliest first', async () => {
    await add('127.0.0.1', 7000, 8005);
    const { code, views } = await published.views('127.0.0.1:8005');
    expect(code).toBe(1);
    expect(views).toMatchObject([{ verdict: 'refused' }]);
    expect(views[0]?.reason).toEqual({
      code: 'notPublished',
      text: '8005/tcp is not published; others are: 127.0.0.1:7000:8005/tcp, 127.0.0.1:8004:198.51.100.2:80/tcp, 127.0.0.1:8006:[fd00:1::2]:80/tcp, 127.0.0.1:8004:198.51.100.2:80/udp, 127.0.0.1:8006:[fd00:1::2]:80/udp',
      remedy: 'start the container that publishes it, or publish it',
    });
  });

  it.each([
    ['127.0.0.2', 8004],
    ['[::1]', 8006],
  ])('says at %s:%i that it is published elsewhere', async (host, port) => {
    const { views } = await published.views(`${host}:${port}`);
    expect(views).toMatchObject([{ verdict: 'refused', reason: { code: 'otherAddress' } }]);
    const ip = host.replaceAll(/[[\]]/g, '');
    expect(views[0]?.reason?.text).toMatch(
      `${port}/tcp is not published on ${ip}, but as 127.0.0.1:`,
    );
  });

  it('has nothing to say about a server of the host itself', async () => {
    await published.serveIn(published.host, cleanup, 'answers', 'tcp', '127.0.0.1');
    const { code, views } = await published.views('127.0.0.1:80');
    expect(code).toBe(0);
    expect(views).toEqual([expect.objectContaining({ verdict: 'answered' })]);
    expect(Object.keys(views[0] ?? {})).not.toContain('reason');
  });

  it('asks a port alone wherever it is published', async () => {
    await add('127.0.0.9', 8004, 80);
    await add('', 7000, 80);
    expect(await addressesOf(8004)).toEqual(['127.0.0.1', '127.0.0.9']);
    expect(await addressesOf(7000)).toEqual(['127.0.0.1', '::1']);
    expect(await addressesOf(7001)).toEqual(['127.0.0.1']);
  });

  it('follows the rules of the engine, of which one may be left over', async () => {
    await publish(published.child, `${CONTAINER.v4}:80`);
    await publish(published.child, `[${NOBODY.v6}]:80`, { program: 'ip6tables-nft', ip: '::1' });
    await add('127.0.0.1', 8080, 8080, '127.0.0.1');
    await add('::1', 8080, 8080, '::1');
    await published.serve(cleanup, 'answers', 'tcp', WILDCARD.v4);
    const { code, views } = await published.views('8080');
    expect(code).toBe(0);
    const [ipv4, ipv6] = views;
    const rule = { ip: CONTAINER.v4, port: 80, origin: 'rule' };
    expect(ipv4).toMatchObject({
      verdict: 'answered',
      inside: [{ ...rule, verdict: 'answered' }, {}],
    });
    expect(ipv6?.inside?.[0]).toMatchObject({ ip: NOBODY.v6, origin: 'rule' });
    expect(ipv6?.reason).toMatchObject({
      code: 'gone',
      text: `nobody inside has the address ${NOBODY.v6}, where the engine's rule leads to: the container is gone`,
    });
  });

  it('shows the view from the host where no driver answers, and fails', async () => {
    await published.serve(cleanup, 'answers', 'tcp', WILDCARD.v4);
    const socket = join(temporaryFolder(cleanup), 'api.sock');
    const command = sluice('probe', '--socket', socket, '127.0.0.1:8004');
    const { code, stdout, stderr } = await outputOf(enter(published.host, ...command));
    expect(code).toBe(1);
    expect(stdout).toMatch(/^127.0.0.1:8004\/tcp: answered, .*\n$/);
    expect(stderr).toMatch(`sluice: no API socket at ${socket}`);
  });

  it('sees the namespace alone from within it', async () => {
    const command = sluice('probe', '--json', '--socket', published.driver.socketPath);
    const { code, stdout, stderr } = await outputOf(
      enter(published.child, ...command, `127.0.0.1:${PUBLISHED.v4}`),
    );
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(Object.keys(JSON.parse(stdout) as object)).not.toContain('published');
    expect(JSON.parse(stdout)).toMatchObject({ verdict: 'refused' });
  });

  it('shows the view from the host where it cannot look inside, and fails', async () => {
    const command = sluice('probe', '--socket', published.driver.socketPath, '127.0.0.1:8004');
    const { code, stdout, stderr } = await outputOf(
      enter(published.host, 'env', 'PATH=/nowhere', ...command),
    );
    expect(code).toBe(1);
    expect(stdout).toMatch(/^127.0.0.1:8004\/tcp: connected, but reset .*\n {2}published: .*\n$/);
    expect(stderr).toBe(
      'sluice: cannot look inside: nsenter was not found on the PATH; install util-linux\n',
    );
  });
});
