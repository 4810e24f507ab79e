/** What others remove of the rules for clients' addresses is put back at once, and told. */
import { beforeAll, expect, it } from 'vitest';
import type { DriverEvent } from '../../src/parent/events/event.js';
import { startDriver } from '../harness/driver.js';
import { type Namespace, runIn } from '../harness/namespaces.js';
import { describeWith, perSuite } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { NEEDS, stateOf } from './source-address-setup-support.js';

const DEADLINE_MS = 20_000;

describeWith(NEEDS, 'rules of ours that another program removes', () => {
  const suite = perSuite();
  const told: string[] = [];
  let child: Namespace;
  let before: Record<string, string>;

  beforeAll(async () => {
    const onEvent = (event: DriverEvent) => event.type === 'problem' && told.push(event.reason);
    ({ namespace: child } = await startDriver(suite, { onEvent }));
    before = await stateOf(child);
    // The watch begins once what people wait for has started.
    await runIn(child, ['nft', 'delete', 'table', 'inet', 'sluice']);
    await isBack();
    told.length = 0;
  });

  async function isBack(): Promise<void> {
    const same = async () => JSON.stringify(await stateOf(child)) === JSON.stringify(before);
    await until(same, DEADLINE_MS, 'the rules');
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
});
