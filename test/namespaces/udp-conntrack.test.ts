import { expect, it } from 'vitest';
import { systemPath } from '../../src/parent/nsenter.js';
import { extendConntrack } from '../../src/parent/source-address/conntrack.js';
import { setUpSourceAddressing } from '../../src/parent/source-address/set-up.js';
import { Tools } from '../../src/parent/source-address/tools.js';
import { type Namespace, makeHost, runIn } from '../harness/namespaces.js';
import { describeWith, perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { NEEDS } from './source-address-setup-support.js';

const DEADLINE_MS = 10_000;
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
    const areExtended = async () => (await timeoutsOf(host)).every((seconds) => seconds > 180);
    await until(areExtended, DEADLINE_MS, 'longer times of conntrack');
    await addressing.undo();
    expect(await timeoutsOf(host)).toEqual(before);
  });

  it('is left alone where it remembers for long enough', async () => {
    const host = await makeHost(test);
    const before = await timeoutsOf(host);
    const short = { unrepliedMs: 1000, repliedMs: 1000 };
    const addressing = await setUpSourceAddressing(host, undefined, short);
    await extendConntrack(new Tools(host, systemPath()), short);
    expect(await timeoutsOf(host)).toEqual(before);
    await addressing.undo();
  });
});
