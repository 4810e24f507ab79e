import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { setUpSourceAddressing } from '../../src/parent/source-address/set-up.js';
import { temporaryFolder } from '../harness/cleanup.js';
import { type Namespace, makeHost, runIn } from '../harness/namespaces.js';
import { which } from '../harness/paths.js';
import { describeWith, perTest } from '../harness/suite.js';
import { NEEDS, pathOf, stateOf } from './source-address-setup-support.js';

/** By its path: the scripts find nothing else. */
const HANGS = `exec ${which('sleep')} infinity`;

describeWith(NEEDS, 'source addressing where something is missing', () => {
  const test = perTest();
  let child: Namespace;

  beforeEach(async () => {
    child = await makeHost(test);
  });

  it('keeps IPv4 where IPv6 is off', async () => {
    await runIn(child, ['sh', '-c', 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6']);
    const addressing = await setUpSourceAddressing(child);

    expect(addressing).toMatchObject({ ipv4: true, ipv6: false, via: 'nftables' });
    expect(addressing.reason).toMatch(/^IPv6: ip: Error: IPv6 is disabled on nexthop device\.?$/);
  });

  it('keeps IPv4 where only iptables is there', async () => {
    const addressing = await setUpSourceAddressing(child, pathOf(test, 'ip', 'iptables-restore'));

    expect(addressing).toMatchObject({
      ipv4: true,
      ipv6: false,
      via: 'iptables',
      reason: 'IPv6: ip6tables-restore was not found; install iptables',
    });
  });

  it('takes iptables where nft fails', async () => {
    const nft = { nft: 'echo "Error: Operation not supported" >&2; exit 1' };
    const path = pathOf(test, 'ip', nft, 'iptables-restore', 'ip6tables-restore');
    expect(await setUpSourceAddressing(child, path)).toMatchObject({
      ipv4: true,
      ipv6: true,
      via: 'iptables',
    });
  });

  it.each([
    [/nat hook/, /nft_nat\)$/],
    [/socket transparent/, /^flows.*nft_socket/],
    [/nat hook|socket transparent/, /nft_nat.*; .*nft_socket/],
  ])('goes without what the kernel lacks, and says so: %s', async (lacking, lacks) => {
    const refuse = `grep -qE '${lacking.source}' "$file" && { echo "Error: not supported" >&2; exit 1; }`;
    const nft = [
      `file=${join(temporaryFolder(test), 'input')}`,
      `[ "$1" = -f ] || exec ${which('nft')} "$@"`,
      `${which('cat')} >"$file"`,
      refuse.replace('grep', which('grep') ?? ''),
      `exec ${which('nft')} -f "$file"`,
    ].join('\n');
    const addressing = await setUpSourceAddressing(child, pathOf(test, 'ip', { nft }));
    expect(addressing).toMatchObject({ ipv4: true, ipv6: true, via: 'nftables' });
    expect(addressing.lacks?.all).toMatch(lacks);
    const before = await stateOf(child);
    expect(before['table']).toContain('chain prerouting');
    await addressing.undo();
    expect((await stateOf(child))['nft']).toBe('');
  });

  it('takes iptables where nft hangs', async () => {
    const path = pathOf(test, 'ip', { nft: HANGS }, 'iptables-restore', 'ip6tables-restore');
    expect(await setUpSourceAddressing(child, path)).toMatchObject({
      ipv4: true,
      ipv6: true,
      via: 'iptables',
    });
  });

  it('says that nothing ends where everything hangs', async () => {
    const tools = ['ip', 'nft', 'iptables-restore', 'ip6tables-restore'];
    const path = pathOf(test, ...tools.map((name) => ({ [name]: HANGS })));
    expect(await setUpSourceAddressing(child, path)).toMatchObject({
      ipv4: false,
      ipv6: false,
      via: 'none',
      reason: 'ip: not done within 5000 ms',
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
    const addressing = await setUpSourceAddressing(child, pathOf(test, ...programs));

    expect(addressing).toMatchObject({ ipv4: false, ipv6: false, via: 'none', reason });
    expect(await stateOf(child)).toEqual(before);
    await addressing.undo();
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

  it('says what nsenter says of namespaces that it may not enter', async () => {
    const addressing = await setUpSourceAddressing({ pid: process.pid });

    expect(addressing).toMatchObject({ ipv4: false, ipv6: false, via: 'none' });
    expect(addressing.reason).toMatch(/^ip: nsenter: .*ns\/user.* failed: /);
  });
});
