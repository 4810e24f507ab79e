import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import type { ChildContext } from '../../src/msg/port.js';
import type { Address } from '../../src/msg/sockaddr.js';
import type { DnatQuery } from '../../src/parent/dnat/rule.js';
import { type Namespace, enter, makeClient, makeHost, runIn } from '../harness/namespaces.js';
import { start } from '../harness/processes.js';
import { describeWith, perTest } from '../harness/suite.js';
import {
  DEADLINE_MS,
  DNAT_NEEDS,
  FIXTURES,
  IPV4,
  IPV6,
  programs,
  publish,
  reporting,
} from './dnat-support.js';

describeWith(DNAT_NEEDS, 'DNAT rules in the child namespaces', () => {
  const cleanup = perTest();
  let child: Namespace;

  beforeEach(async () => {
    child = await makeHost(cleanup);
  });

  /** As a reader that has no problem with it says. */
  async function resolve(query: DnatQuery, context: ChildContext = child): Promise<Address[]> {
    const { resolver, problems } = reporting(context);
    const targets = await resolver.resolve(query);
    expect(problems).toEqual([]);
    return targets;
  }

  /**
   * A network namespace that is not that of the child process. Its user namespace's root can see
   * the names of iptables-legacy's tables in there.
   */
  async function detach(): Promise<{ detached: Namespace; context: ChildContext }> {
    const detached = await makeClient(cleanup, child);
    return { detached, context: { pid: child.pid, netnsPath: `/proc/${detached.pid}/ns/net` } };
  }

  it('lead to the container where iptables-nft wrote them', async () => {
    await publish(child, '172.17.0.2:80');

    expect(await resolve(IPV4)).toEqual([{ ip: '172.17.0.2', port: 80 }]);
  });

  it('lead to the container where ip6tables-nft wrote them', async () => {
    await publish(child, '[fd00:7::2]:80', { program: 'ip6tables-nft', ip: '::1' });
    await publish(child, '172.17.0.2:80');

    expect(await resolve(IPV6)).toEqual([{ ip: 'fd00:7::2', port: 80 }]);
  });

  it("lead to the container through the chains of CNI's portmap plugin", async () => {
    const input = readFileSync(join(FIXTURES, 'cni-portmap.rules.txt'));
    await runIn(child, ['iptables-nft-restore'], { input });

    expect(await resolve(IPV4)).toEqual([{ ip: '10.4.0.2', port: 80 }]);
    expect(await resolve({ ...IPV4, proto: 'udp', port: 8081 })).toEqual([
      { ip: '10.4.0.3', port: 53 },
    ]);
  });

  it("lead to the container where moby's nftables backend wrote them", async () => {
    await runIn(child, ['nft', '-f', '-'], { input: readFileSync(join(FIXTURES, 'moby-29.nft')) });

    expect(await resolve(IPV4)).toEqual([{ ip: '172.17.0.2', port: 80 }]);
    expect(await resolve({ ...IPV6, port: 8090 })).toEqual([{ ip: 'fd00:7::2', port: 80 }]);
  });

  it('lead nowhere for another protocol, port or address', async () => {
    await publish(child, '172.17.0.2:80');

    expect(await resolve({ ...IPV4, port: 8081 })).toEqual([]);
    expect(await resolve({ ...IPV4, proto: 'udp' })).toEqual([]);
    expect(await resolve({ ...IPV4, ip: '127.0.0.2' })).toEqual([]);
  });

  it('are not used where they ask for more than the destination', async () => {
    await publish(child, '172.17.0.2:80', { more: ['-s', '10.0.0.0/8'] });
    await publish(child, '172.17.0.3:80', { more: ['-m', 'mark', '--mark', '1'] });
    await publish(child, '172.17.0.4:80-90');
    await publish(child, '172.17.0.5:80', { more: ['-m', 'comment', '--comment', 'this one'] });

    expect(await resolve(IPV4)).toEqual([{ ip: '172.17.0.5', port: 80 }]);
  });

  it('are those of the network namespace that is named', async () => {
    const { detached, context } = await detach();
    await publish(detached, '172.17.0.2:80');

    expect(await resolve(IPV4, context)).toEqual([{ ip: '172.17.0.2', port: 80 }]);
    expect(await resolve(IPV4)).toEqual([]);
  });

  it('are read of a child without a mount namespace of its own', async () => {
    const script = `nft add table ip t
      nft add chain ip t c '{ type nat hook prerouting priority dstnat; }'
      nft add rule ip t c tcp dport 8080 dnat to 172.17.0.2
      echo ready; exec sleep infinity`;
    const unshare = ['unshare', '--user', '--map-root-user', '--net'];
    const bare = await start(cleanup, [...unshare, 'sh', '-e', '-c', script]);
    await bare.line(/^ready$/m, DEADLINE_MS);

    expect(await resolve(IPV4, { pid: bare.pid })).toEqual([{ ip: '172.17.0.2', port: 8080 }]);
  });

  it.each([
    ['iptables-legacy', IPV4, '172.17.0.2:80', { ip: '172.17.0.2', port: 80 }],
    ['ip6tables-legacy', IPV6, '[fd00:7::2]:80', { ip: 'fd00:7::2', port: 80 }],
  ] as const)('lead to the container where %s wrote them', async (program, query, to, target) => {
    const { detached, context } = await detach();
    await publish(detached, to, { program, ip: query.ip });

    expect(await resolve(query, context)).toEqual([target]);
  });

  it('are those of iptables-legacy where the engine runs it and nobody sees its tables', async () => {
    await publish(child, '172.17.0.2:80', { program: 'iptables-legacy' });
    const { path } = programs(cleanup, { iptables: { link: 'iptables-legacy' } });
    const { resolver } = reporting(child, { path });

    expect(await resolver.resolve(IPV4)).toEqual([{ ip: '172.17.0.2', port: 80 }]);
  });

  it('are read without making tables of iptables-legacy', async () => {
    const { detached, context } = await detach();
    const { path } = programs(cleanup, { iptables: { link: 'iptables-legacy' } });
    await reporting(context, { path }).resolver.resolve(IPV4);

    expect(await runIn(detached, ['cat', '/proc/net/ip_tables_names'])).toBe('');
  });

  it('are read while the engine holds the lock of iptables-legacy', async () => {
    const { detached, context } = await detach();
    await publish(detached, '172.17.0.2:80', { program: 'iptables-legacy' });
    await runIn(child, ['mount', '-t', 'tmpfs', 'tmpfs', '/run']);
    const hold = 'exec flock --no-fork /run/xtables.lock sh -c "echo held && exec sleep infinity"';
    const engine = await start(cleanup, enter(child, 'sh', '-c', hold));
    await engine.line(/^held$/m, DEADLINE_MS);

    expect(await resolve(IPV4, context)).toEqual([{ ip: '172.17.0.2', port: 80 }]);
  });
});
