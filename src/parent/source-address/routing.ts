/** Policy routing: marked packets are for this machine, whatever their destination. */

import { type Failures, failuresOf } from './failures.js';
import { FAMILIES, type Family, routingAdd, routingDelete } from './rules.js';
import type { Tools } from './tools.js';

const OPTION: Readonly<Record<Family, string>> = { ipv4: '-4', ipv6: '-6' };

/** What `ip -batch` says of a rule that is there already, exactly the same. */
const RULE_EXISTS = /RTNETLINK answers: File exists\nCommand failed .*\n?/g;

/** `leftover` is true when a predecessor that did not clean up was here. */
export async function setUpRouting(
  tools: Tools,
): Promise<{ leftover: boolean; failures: Failures }> {
  if (!tools.has('ip')) {
    const failure = 'ip was not found; install iproute2';
    return { leftover: false, failures: failuresOf(failure, failure) };
  }
  let leftover = false;
  const add = async (family: Family) => {
    const said = await runIp(tools, family, routingAdd(family));
    const failure = said.replace(RULE_EXISTS, '').trim();
    leftover ||= failure !== said;
    return failure && `ip: ${failure}`;
  };
  const [ipv4, ipv6] = await Promise.all([add('ipv4'), add('ipv6')]);
  return { leftover, failures: failuresOf(ipv4, ipv6) };
}

export async function removeRouting(tools: Tools): Promise<void> {
  if (!tools.has('ip')) return;
  await Promise.all(FAMILIES.map((family) => runIp(tools, family, routingDelete(family))));
}

/** Returns what went wrong; with -force the lines after that are carried out all the same. */
async function runIp(tools: Tools, family: Family, input: string): Promise<string> {
  const args = [OPTION[family], '-force', '-batch', '-'];
  return (await tools.run('ip', args, { input })).failure ?? '';
}
