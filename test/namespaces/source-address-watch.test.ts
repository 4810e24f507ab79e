/** What others remove of the rules for clients' addresses is put back at once, and told. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import type { DriverEvent } from '../../src/parent/events/event.js';
import type { Driver } from '../../dist/parent/driver.js';
import { type Cleanup, temporaryFolder } from '../harness/cleanup.js';
import { which } from '../harness/paths.js';
import { startDriver } from '../harness/driver.js';
import { type Namespace, runIn } from '../harness/namespaces.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { NEEDS, pathOf, stateOf } from './source-address-setup-support.js';

const DEADLINE_MS = 20_000;

describeWith(NEEDS, 'rules of ours that another program removes', () => {
  const suite = perSuite();
  const told: string[] = [];
  let child: Namespace;
  let driver: Driver;
  let broken: string;
  let before: Record<string, string>;

  beforeAll(async () => {
    const onEvent = (event: DriverEvent) => event.type === 'problem' && told.push(event.reason);
    broken = join(temporaryFolder(suite), 'broken');
    const fail = `echo "Error: broken" >&2; exit 1`;
    const nft = `[ ! -e ${broken} ] || [ "$1" != -f ] || { ${fail}; }\nexec ${which('nft')} "$@"`;
    usePath(suite, pathOf(suite, { nft }));
    ({ namespace: child, driver } = await startDriver(suite, { onEvent }));
    before = await stateOf(child);
    // The watch begins once what people wait for has started.
    await runIn(child, ['nft', 'delete', 'table', 'inet', 'sluice']);
    await isBack();
    told.length = 0;
  });

  async function inInfo() {
    return (await driver.info()).sourceIP.protos;
  }

  async function isBack(): Promise<void> {
    const wanted = JSON.stringify(before);
    const isSame = async () => JSON.stringify(await stateOf(child)) === wanted;
    await until(isSame, DEADLINE_MS, 'the rules');
  }

  it.each([
    ['nft delete table inet sluice', 'the nftables table inet sluice'],
    ['nft flush ruleset', 'the nftables table inet sluice'],
    ['nft flush chain inet sluice prerouting', 'the nftables table inet sluice'],
    ['nft insert rule inet sluice output accept', 'the nftables table inet sluice'],
    ['ip rule del priority 301', 'the rules 300 to 302'],
    ['ip -6 rule del priority 302', 'the rules 300 to 302'],
    ['ip route flush table 21324', 'the rules 300 to 302'],
    ['ip link set lo down; ip link set lo up', 'the rules 300 to 302'],
    ['echo 0 >/proc/sys/net/ipv4/tcp_fwmark_accept', 'net.ipv4.tcp_fwmark_accept'],
  ])('are back after "%s", and one line says so', async (command, name) => {
    const lines = told.length;
    await runIn(child, ['sh', '-e', '-c', command]);
    await isBack();
    await until(() => told.length > lines, DEADLINE_MS, 'a line');
    expect(told.slice(lines)).toEqual([expect.stringContaining(name)]);
  });

  it('cost the addresses for as long as they can not be put back, and the info says why', async () => {
    expect(await inInfo()).toMatchObject({ tcp4: { kept: true }, udp6: { kept: true } });
    const lines = told.length;
    writeFileSync(broken, '');
    await runIn(child, ['nft', 'delete', 'table', 'inet', 'sluice']);
    const lost = { kept: false, reason: 'nft: Error: broken' };
    await until(async () => (await inInfo())['tcp4']?.kept === false, DEADLINE_MS, 'the reason');
    expect(await inInfo()).toMatchObject({ tcp4: lost, tcp6: lost, udp4: lost, udp6: lost });
    expect(told.slice(lines)).toEqual([
      "clients' addresses are not kept, because what was removed can't be put back: nft: Error: broken",
    ]);
    rmSync(broken);
    await until(async () => (await inInfo())['tcp4']?.kept, DEADLINE_MS, 'the rules');
    await isBack();
    expect(told.at(-1)).toBe("clients' addresses are kept again");
  });
});

describeWith(NEEDS, 'chains of iptables that another program removes', () => {
  const test = perTest();

  it('are back, and the first in their place', async () => {
    const nft = `[ "$1" != -f ] || exit 1\nexec ${which('nft')} "$@"`;
    usePath(test, pathOf(test, { nft }));
    const told: string[] = [];
    const onEvent = (event: DriverEvent) => event.type === 'problem' && told.push(event.reason);
    const { namespace: child } = await startDriver(test, { onEvent });
    const chains = async () => {
      const { nat, mangle } = await stateOf(child);
      return `${mangle}${nat}`;
    };
    const before = await chains();
    expect(before).toContain('SLUICE-PREROUTING');
    const lines = told.length;
    const env = { XTABLES_LOCKFILE: '/proc/self/comm' };
    const remove = 'iptables -t mangle -F; iptables -t nat -F';
    // The watch begins once what people wait for has started.
    const isBack = async () => {
      if (told.length === lines) await runIn(child, ['sh', '-e', '-c', remove], { env });
      return (await chains()) === before && told.length > lines;
    };
    await until(isBack, DEADLINE_MS, 'the chains');
    expect(told[lines]).toContain('the chains SLUICE-* of iptables');
  });
});

/** First on the PATH. */
function usePath(cleanup: Cleanup, folder: string): void {
  const { PATH } = process.env;
  cleanup.defer(() => (process.env['PATH'] = PATH));
  process.env['PATH'] = `${folder}:${PATH}`;
}
