import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { setUpSourceAddressing } from '../../src/parent/source-address/set-up.js';
import { temporaryFolder } from '../harness/cleanup.js';
import {
  HOST_ADDRESS,
  type Namespace,
  makeClient,
  makeHost,
  runIn,
} from '../harness/namespaces.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { which } from '../harness/paths.js';
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
} from './kernel-transparent-support.js';

const NEEDS = [userNamespaces, ...['ip', 'nft', 'iptables', 'ip6tables'].map(tool)];

const SYSCTLS = [
  'net.ipv4.tcp_fwmark_accept',
  'net.ipv4.fwmark_reflect',
  'net.ipv6.fwmark_reflect',
].map((name) => `/proc/sys/${name.replaceAll('.', '/')}`);

/** Everything of the namespace that the set-up may touch. */
async function stateOf(child: Namespace): Promise<Record<string, string>> {
  const commands = {
    // The empty tables of iptables-nft, which are of other families, stay.
    nft: ['nft', 'list', 'tables', 'inet'],
    mangle: ['iptables', '-t', 'mangle', '-S'],
    mangle6: ['ip6tables', '-t', 'mangle', '-S'],
    rules: ['ip', '-4', 'rule'],
    rules6: ['ip', '-6', 'rule'],
    routes: ['ip', '-4', 'route', 'show', 'table', 'all'],
    routes6: ['ip', '-6', 'route', 'show', 'table', 'all'],
    sysctls: ['cat', ...SYSCTLS],
  };
  const state: Record<string, string> = {};
  for (const [name, command] of Object.entries(commands)) state[name] = await runIn(child, command);
  return state;
}

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

  /** A PATH with nothing on it but these programs; one with a script is that. */
  function pathOf(...programs: (string | { readonly [name: string]: string })[]): string {
    const folder = temporaryFolder(test);
    for (const program of ['nsenter', 'cat', 'tee', ...programs]) {
      if (typeof program === 'string') symlinkSync(which(program) ?? '', join(folder, program));
      else {
        for (const [name, script] of Object.entries(program)) {
          writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
        }
      }
    }
    return folder;
  }

  describe.each([
    { via: 'nftables', programs: ['ip', 'nft'] },
    { via: 'iptables', programs: ['ip', 'iptables-restore', 'ip6tables-restore'] },
  ])('with $via', ({ via, programs }) => {
    it('brings replies to clients of other networks back', async () => {
      const { child } = await makeChild(test);
      const addressing = await setUpSourceAddressing(child, pathOf(...programs));

      expect(addressing).toMatchObject({ ipv4: true, ipv6: true, via });
      expect(addressing.reason).toBeUndefined();
      expect(await connectFrom(child, EVERYWHERE)).toEqual(ANSWERED);
    });

    it('leaves nothing behind, done twice as done once', async () => {
      const child = await makeHost(test);
      const before = await stateOf(child);
      const path = pathOf(...programs);

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
      const rules = () =>
        runIn(child, ['sh', '-e', '-c', 'iptables -t nat -S; ip6tables -t nat -S']);
      await engine(...load);
      const before = await rules();

      const addressing = await setUpSourceAddressing(child, pathOf(...programs));
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
      const path = pathOf('ip', 'iptables-restore', 'ip6tables-restore');
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

    it('keeps IPv4 where IPv6 is off', async () => {
      await runIn(child, ['sh', '-c', 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6']);
      const addressing = await setUpSourceAddressing(child);

      expect(addressing).toMatchObject({ ipv4: true, ipv6: false, via: 'nftables' });
      expect(addressing.reason).toMatch(/^IPv6: ip: Error: IPv6 is disabled on nexthop device\.?$/);
    });

    it('keeps IPv4 where only iptables is there', async () => {
      const addressing = await setUpSourceAddressing(child, pathOf('ip', 'iptables-restore'));

      expect(addressing).toMatchObject({
        ipv4: true,
        ipv6: false,
        via: 'iptables',
        reason: 'IPv6: ip6tables-restore was not found; install iptables',
      });
    });

    it('takes iptables where nft fails', async () => {
      const nft = { nft: 'echo "Error: Operation not supported" >&2; exit 1' };
      const path = pathOf('ip', nft, 'iptables-restore', 'ip6tables-restore');
      expect(await setUpSourceAddressing(child, path)).toMatchObject({
        ipv4: true,
        ipv6: true,
        via: 'iptables',
      });
    });

    it.each([
      {
        lack: 'ip',
        programs: ['nft'],
        reason: 'ip was not found; install iproute2',
      },
      {
        lack: 'nft and iptables',
        programs: ['ip'],
        reason:
          'nft was not found; install nftables; iptables-restore was not found; install iptables; ip6tables-restore was not found; install iptables',
      },
      {
        lack: 'all three',
        programs: [],
        reason: 'ip was not found; install iproute2',
      },
    ])('says why, and leaves nothing, without $lack', async ({ programs, reason }) => {
      const before = await stateOf(child);
      const addressing = await setUpSourceAddressing(child, pathOf(...programs));

      expect(addressing).toMatchObject({ ipv4: false, ipv6: false, via: 'none', reason });
      expect(await stateOf(child)).toEqual(before);
      await addressing.undo();
    });

    it('goes into the network namespace that netnsPath names', async () => {
      const detached = await makeClient(test, child);
      const before = [await stateOf(child), await stateOf(detached)];
      const netnsPath = `/proc/${detached.pid}/ns/net`;
      const addressing = await setUpSourceAddressing({ pid: child.pid, netnsPath });

      expect(await stateOf(child)).toEqual(before[0]);
      expect((await stateOf(detached))['nft']).toContain('table inet sluice');
      await addressing.undo();
      expect(await stateOf(detached)).toEqual(before[1]);
    });

    it('says that nsenter is missing', async () => {
      const folder = join(temporaryFolder(test), 'bin');
      mkdirSync(folder);
      symlinkSync(which('ip') ?? '', join(folder, 'ip'));
      expect(await setUpSourceAddressing(child, folder)).toMatchObject({
        ipv4: false,
        ipv6: false,
        reason: 'ip: nsenter was not found on the PATH; install util-linux',
      });
    });
  });

  it('says what nsenter says of namespaces that it may not enter', async () => {
    const addressing = await setUpSourceAddressing({ pid: process.pid });

    expect(addressing).toMatchObject({ ipv4: false, ipv6: false, via: 'none' });
    expect(addressing.reason).toMatch(/^ip: nsenter: .*ns\/user.* failed: /);
  });

  it('is undone in silence where the namespaces are gone', async () => {
    const child = await makeHost(test);
    const addressing = await setUpSourceAddressing(child);
    process.kill(child.pid, 'SIGKILL');
    await until(() => !isAlive(child.pid), 5_000, 'the end of the namespaces');

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
