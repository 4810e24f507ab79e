/** Policy routing: marked packets are for this machine, whatever their destination. */

import { CT_MARK, LOCAL_MARK } from '../../msg/marks.js';
import { type Failures, failuresOf } from './failures.js';
import type { Part } from './part.js';
import {
  FAMILIES,
  type Family,
  masked,
  POLICY_PREFIXES,
  ROUTING_SHOW,
  routingAdd,
  routingDelete,
} from './rules.js';
import type { Outcome, Tools } from './tools.js';

const OPTION: Readonly<Record<Family, string>> = { ipv4: '-4', ipv6: '-6' };

/** What `ip -batch` says of a rule that is there already, exactly the same. */
const RULE_EXISTS = /RTNETLINK answers: File exists\nCommand failed .*\n?/g;

const FWMARK = new RegExp(`fwmark (${[CT_MARK, LOCAL_MARK].map(masked).join('|')}) `);

export class Routing implements Part {
  readonly kind = 'routing';
  readonly name = 'the rules 300 to 302 of "ip rule" or their route';
  readonly #tools: Tools;
  #isFirst = true;
  #hasLeftover = false;

  constructor(tools: Tools) {
    this.#tools = tools;
  }

  /** True when a predecessor that did not clean up was there before the first `put`. */
  get hasLeftover(): boolean {
    return this.#hasLeftover;
  }

  async put(): Promise<Failures> {
    if (!this.#tools.has('ip')) {
      const failure = 'ip was not found; install iproute2';
      return failuresOf(failure, failure);
    }
    const [ipv4, ipv6] = await Promise.all(FAMILIES.map((family) => this.#add(family)));
    this.#isFirst = false;
    return failuresOf(ipv4, ipv6);
  }

  async read(): Promise<string> {
    const shown = await Promise.all(
      FAMILIES.map((family) => runIp(this.#tools, family, ROUTING_SHOW)),
    );
    return shown.map(({ stdout }) => stdout.split('\n').filter(isOurs).join('\n')).join('\n');
  }

  async remove(): Promise<void> {
    if (!this.#tools.has('ip')) return;
    await Promise.all(FAMILIES.map((family) => runIp(this.#tools, family, routingDelete(family))));
  }

  /** Undefined on success. */
  async #add(family: Family): Promise<string | undefined> {
    const said = (await runIp(this.#tools, family, routingAdd(family))).failure ?? '';
    const failure = said.replace(RULE_EXISTS, '').trim();
    if (this.#isFirst) this.#hasLeftover ||= failure !== said;
    return failure ? `ip: ${failure}` : undefined;
  }
}

/** Of the routes of our table, and the rules of everybody. */
function isOurs(line: string): boolean {
  const isRule = POLICY_PREFIXES.some((prefix) => line.startsWith(prefix));
  return line.startsWith('local ') || (isRule && FWMARK.test(line));
}

/** With -force the lines after one that fails are carried out all the same. */
function runIp(tools: Tools, family: Family, input: string): Promise<Outcome> {
  return tools.run('ip', [OPTION[family], '-force', '-batch', '-'], { input });
}
