import { beforeEach, describe, expect, it } from 'vitest';
import { setUpSourceAddressing } from '../../src/parent/source-address/set-up.js';
import {
  HOST_ADDRESS,
  type Namespace,
  makeClient,
  makeHost,
  runIn,
} from '../harness/namespaces.js';
import { describeWith, perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import {
  attempt,
  CLIENT,
  CLOSED_PORT,
  connectFrom,
  CONTAINER,
  LOOPBACK,
  makeChild,
  untilSettled,
} from './kernel-transparent-support.js';
import { NEEDS, pathOf, stateOf, SYSCTLS } from './source-address-setup-support.js';

const DEADLINE_MS = 20_000;

/** Both families, to the container, to a server on loopback, and to where nobody listens. */
const EVERYWHERE = [
  attempt(CLIENT.v4, CONTAINER.v4),
  attempt(CLIENT.v6, CONTAINER.v6),
  attempt(CLIENT.v4, LOOPBACK.v4),
  attempt(CLIENT.v6, LOOPBACK.v6),
  attempt(CLIENT.v4, HOST_ADDRESS.v4),
  attempt(CLIENT.v6, HOST_ADDRESS.v6),
  attempt(CLIENT.v4, LOOPBACK.v4, { serverPort: CLOSED_PORT }),
  attempt(CLIENT.v6, LOOPBACK.v6, { serverPort: CLOSED_PORT }),
];
const ANSWERED = [
  '10.1.2.3 5000',
  'fd00:9::3 5000',
  '10.1.2.3 5000',
  'fd00:9::3 5000',
  '10.1.2.3 5000',
  'fd00:9::3 5000',
  'connect ECONNREFUSED',
  'connect ECONNREFUSED',
];

describeWith(NEEDS, 'source addressing', () => {
  const test = perTest();

  describe.each([
    { via: 'nftables', programs: ['ip', 'nft'] },
    { via: 'iptables', programs: ['ip', 'iptables-restore', 'ip6tables-restore'] },
  ])('with $via', ({ via, programs }) => {
    it('brings replies to clients of other networks back', async () => {
      const { child } = await makeChild(test);
      const addressing = await setUpSourceAddressing(child, pathOf(test, ...programs));

      expect(addressing).toMatchObject({ ipv4: true, ipv6: true, via });
      expect(addressing.reason).toBeUndefined();
      expect(await connectFrom(child, EVERYWHERE)).toEqual(ANSWERED);
    });

    it('leaves nothing behind, done twice as done once', async () => {
      const child = await makeHost(test);
      const before = await stateOf(child);
      const path = pathOf(test, ...programs);

      await setUpSourceAddressing(child, path);
      const once = await stateOf(child);
      const addressing = await setUpSourceAddressing(child, path);
      expect(addressing).toMatchObject({ ipv4: true, ipv6: true, via });
      expect(await stateOf(child)).toEqual(once);

      await addressing.undo();
      expect(await stateOf(child)).toEqual(before);
      await addressing.undo();
      expect(await stateOf(child)).toEqual(before);
    });

    it('survives that an engine flushes and reloads its rules, which stay as they are', async () => {
      const { child } = await makeChild(test);
      const engine = async (...commands: string[]) => {
        const env = { XTABLES_LOCKFILE: '/proc/self/comm' };
        await runIn(child, ['sh', '-e', '-c', commands.join('\n')], { env });
      };
      // dockerd's with userland-proxy=false: they rewrite the sources that are this namespace's.
      const load = ['iptables', 'ip6tables'].flatMap((program) => [
        `${program} -t nat -N DOCKER`,
        `${program} -t nat -A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER`,
        `${program} -t nat -A POSTROUTING -o client0 -m addrtype --src-type LOCAL -j MASQUERADE`,
        `${program} -P FORWARD DROP`,
      ]);
      const flush = ['iptables', 'ip6tables'].flatMap((program) => [
        `${program} -t nat -F`,
        `${program} -t nat -X`,
        `${program} -F`,
      ]);
      const show = ['iptables', 'ip6tables'].map((program) => `${program} -t nat -S`).join('; ');
      const rules = () => runIn(child, ['sh', '-c', `(${show}) | grep -v SLUICE-`]);
      await engine(...load);
      const before = await rules();

      const addressing = await setUpSourceAddressing(child, pathOf(test, ...programs));
      expect(await rules()).toBe(before);
      await engine(...flush, ...load);
      expect(await connectFrom(child, EVERYWHERE)).toEqual(ANSWERED);
      await addressing.undo();
      expect(await rules()).toBe(before);
    });
  });

  describe('in a namespace of its own', () => {
    let child: Namespace;

    beforeEach(async () => {
      child = await makeHost(test);
    });

    it('puts the marks of iptables back where its table was flushed', async () => {
      const path = pathOf(test, 'ip', 'iptables-restore', 'ip6tables-restore');
      await setUpSourceAddressing(child, path);
      const before = await stateOf(child);
      const env = { XTABLES_LOCKFILE: '/proc/self/comm' };
      await runIn(child, ['iptables', '-t', 'mangle', '-F'], { env });

      const addressing = await setUpSourceAddressing(child, path);
      expect(await stateOf(child)).toEqual(before);
      await runIn(child, ['iptables', '-t', 'mangle', '-F'], { env });
      await addressing.undo();
      expect((await stateOf(child))['mangle']).not.toContain('SLUICE');
    });

    it('leaves a sysctl alone that was set before', async () => {
      const [accept = ''] = SYSCTLS;
      await runIn(child, ['sh', '-c', `echo 1 >${accept}`]);
      const before = await runIn(child, ['cat', ...SYSCTLS]);

      const addressing = await setUpSourceAddressing(child);
      expect(await runIn(child, ['cat', ...SYSCTLS])).toBe('1\n1\n1\n');
      await addressing.undo();
      expect(await runIn(child, ['cat', ...SYSCTLS])).toBe(before);
    });

    it('goes into the network namespace that netnsPath names', async () => {
      const detached = await makeClient(test, child);
      for (const namespace of [child, detached]) await untilSettled(namespace);
      const before = [await stateOf(child), await stateOf(detached)];
      const netnsPath = `/proc/${detached.pid}/ns/net`;
      const addressing = await setUpSourceAddressing({ pid: child.pid, netnsPath });

      expect(await stateOf(child)).toEqual(before[0]);
      expect((await stateOf(detached))['nft']).toContain('table inet sluice');
      await addressing.undo();
      expect(await stateOf(detached)).toEqual(before[1]);
    });
  });

  it('is undone in silence where the namespaces are gone', async () => {
    const child = await makeHost(test);
    const addressing = await setUpSourceAddressing(child);
    process.kill(child.pid, 'SIGKILL');
    await until(() => !isAlive(child.pid), DEADLINE_MS, 'the end of the namespaces');

    await expect(addressing.undo()).resolves.toBeUndefined();
  });

  it('serves where reverse path checks go by marks', async () => {
    const { child } = await makeChild(test);
    const strict = ['all', 'client0'].flatMap((device) => [
      `echo 1 >/proc/sys/net/ipv4/conf/${device}/rp_filter`,
      `echo 1 >/proc/sys/net/ipv4/conf/${device}/src_valid_mark`,
    ]);
    await runIn(child, ['sh', '-e', '-c', strict.join('\n')]);
    await setUpSourceAddressing(child);

    expect(await connectFrom(child, EVERYWHERE)).toEqual(ANSWERED);
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
