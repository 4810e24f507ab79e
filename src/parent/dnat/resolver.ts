/**
 * Where the container engine's DNAT rules send what is published on a childIP: the containers' own
 * addresses, as an agent can dial them.
 */

import { SluiceError, messageOf } from '../../msg/errors.js';
import type { ChildContext } from '../../msg/port.js';
import type { Address } from '../../msg/sockaddr.js';
import { systemPath } from '../nsenter.js';
import { containerOf, readDockerProxies, type DockerProxy } from './docker-proxy.js';
import { Latest } from './latest.js';
import { readRules } from './reading.js';
import { type DnatQuery, type DnatRule, targetsOf } from './rule.js';
import { runnerIn } from './tools.js';

/**
 * For one reading of the rules; a query may have to wait for the end of another one first. Flows are
 * not held for so long, but on a slow machine the answer still serves those that follow.
 */
const TIME_LIMIT_MS = 5000;

const IPV6_LOOPBACK = '::1';
const IPV4_LOOPBACK = '127.0.0.1';

export interface DnatResolverOptions {
  /** Called once for each tool that fails. */
  readonly onProblem?: (problem: SluiceError) => void;
  /** Folders to look for the tools in, as in the environment variable. */
  readonly path?: string;
  readonly timeLimitMs?: number;
}

export class DnatResolver {
  readonly #child: ChildContext;
  readonly #onProblem: (problem: SluiceError) => void;
  readonly #path: string;
  readonly #timeLimitMs: number;
  readonly #reported = new Set<string>();
  readonly #rules: Latest<DnatRule[]>;
  readonly #proxies: Latest<DockerProxy[]>;

  constructor(child: ChildContext, options: DnatResolverOptions = {}) {
    this.#child = child;
    this.#onProblem = options.onProblem ?? (() => {});
    this.#path = options.path ?? systemPath();
    this.#timeLimitMs = options.timeLimitMs ?? TIME_LIMIT_MS;
    this.#rules = new Latest(() => this.#read());
    this.#proxies = new Latest(() => readDockerProxies(child));
  }

  /**
   * Containers' addresses behind `query.ip`, best first; none where there is no rule, or no reading
   * the rules. `::1` without a rule takes that of 127.0.0.1 if docker-proxy confirms that it is the
   * same container's: dockerd writes none for an IPv6 port whose container has IPv4 alone. Never
   * rejects.
   */
  async resolve(query: DnatQuery): Promise<Address[]> {
    const rules = await this.#rules.get();
    const targets = targetsOf(rules, query);
    if (targets.length > 0 || query.ip !== IPV6_LOOPBACK) return targets;
    return this.#confirmed(targetsOf(rules, { ...query, ip: IPV4_LOOPBACK }), query);
  }

  /** The container that docker-proxy serves at the query's address. Never rejects. */
  async proxiedContainer(query: DnatQuery): Promise<Address | undefined> {
    return containerOf(await this.#proxies.get(), query);
  }

  async #confirmed(targets: readonly Address[], query: DnatQuery): Promise<Address[]> {
    if (targets.length === 0) return [];
    const container = await this.proxiedContainer(query);
    return targets.filter(({ ip, port }) => ip === container?.ip && port === container.port);
  }

  async #read(): Promise<DnatRule[]> {
    try {
      const run = await runnerIn(this.#child, this.#path, this.#timeLimitMs);
      return await readRules(run, (tool, problem) => this.#report(tool, problem));
    } catch (error) {
      this.#report('', new SluiceError('ERR_DNAT', messageOf(error), { cause: error }));
      return [];
    }
  }

  #report(tool: string, problem: SluiceError): void {
    if (this.#reported.has(tool)) return;
    this.#reported.add(tool);
    this.#onProblem(problem);
  }
}
