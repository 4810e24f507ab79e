import { expect, it } from 'vitest';
import { setUpSourceAddressing } from '../../src/parent/source-address/set-up.js';
import { type Namespace, makeHost, runIn } from '../harness/namespaces.js';
import { describeWith, perTest } from '../harness/suite.js';
import { NEEDS } from './source-address-setup-support.js';

const NAMES = ['udp_timeout', 'udp_timeout_stream'];

/** In seconds. */
async function timeoutsOf(namespace: Namespace): Promise<number[]> {
  const files = NAMES.map((name) => `/proc/sys/net/netfilter/nf_conntrack_${name}`);
  return (await runIn(namespace, ['cat', ...files])).trim().split('\n').map(Number);
}

describeWith(NEEDS, 'conntrack', () => {
  const test = perTest();

  it('remembers an exchange longer than its session lives, until the end', async () => {
    const host = await makeHost(test);
    const before = await timeoutsOf(host);
    const addressing = await setUpSourceAddressing(host);
    for (const seconds of await timeoutsOf(host)) expect(seconds).toBeGreaterThan(180);
    await addressing.undo();
    expect(await timeoutsOf(host)).toEqual(before);
  });

  it('is left alone where it remembers for long enough', async () => {
    const host = await makeHost(test);
    const before = await timeoutsOf(host);
    const addressing = await setUpSourceAddressing(host, undefined, {
      unrepliedMs: 1000,
      repliedMs: 1000,
    });
    expect(await timeoutsOf(host)).toEqual(before);
    await addressing.undo();
  });
});
