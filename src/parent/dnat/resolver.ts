/**
 * The containers behind a childIP, at addresses that an agent can dial. There are two sources.
 *
 * docker-proxy's arguments come first: it runs as long as the port is published and holds the very
 * socket, and there is none for a container that has gone. The engine's DNAT rules tell the same,
 * but later, not with `--iptables=false`, and stale ones can lie in front of them. They count where
 * no proxy has the port: without the userland proxy, and for other engines.
 */

import { SluiceError, messageOf } from '../../msg/errors.js';
import type { ChildContext } from '../../msg/port.js';
import { type Address, formatAddress } from '../../msg/sockaddr.js';
import { systemPath } from '../nsenter.js';
import { Engine, type Holder } from './engine.js';
import { Latest } from './latest.js';
import { readRules } from './reading.js';
import { type DnatQuery, type DnatRule, targetsOf } from './rule.js';
import { runnerIn } from './tools.js';

/**
 * For one reading of the rules; a query may have to wait for the end of another one first. Flows are
 * not held for so long, but on a slow machine the answer still serves those that follow.
 */
const TIME_LIMIT_MS = 5000;

/** For the rule or the proxy of a port that dockerd holds. An agent holds the flow 0.5 s longer. */
const ENGINE_TIME_LIMIT_MS = 2500;
/** After a reading without a rule, doubled each time: programs cost more than a look at processes. */
const FIRST_PAUSE_MS = 50;

export type Origin = 'docker-proxy' | 'rule';

export interface Found {
  /** Best first; may be empty. */
  readonly targets: readonly Address[];
  readonly origin: Origin;
  /** dockerd or docker-proxy has the query's own address. */
  readonly isHeld: boolean;
}

export interface DnatResolverOptions {
  /** Called once for each tool that fails, and for each port that leads nowhere. */
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
  readonly #engine: Engine;

  constructor(child: ChildContext, options: DnatResolverOptions = {}) {
    this.#child = child;
    this.#onProblem = options.onProblem ?? (() => {});
    this.#path = options.path ?? systemPath();
    this.#timeLimitMs = options.timeLimitMs ?? TIME_LIMIT_MS;
    this.#rules = new Latest(() => this.#read());
    this.#engine = new Engine(child);
  }

  /**
   * At once, unless dockerd holds the address and neither a rule nor a proxy is there yet. Never
   * rejects.
   */
  async find(query: DnatQuery): Promise<Found> {
    const holder = await this.#engine.holderOf(query);
    if (holder !== undefined) return this.#findHeld(query, holder);
    return { targets: await this.resolve(query), origin: 'rule', isHeld: false };
  }

  /** Where the rules lead; none where there is no rule, or no reading the rules. Never rejects. */
  async resolve(query: DnatQuery): Promise<Address[]> {
    return targetsOf(await this.#rules.get(), query);
  }

  async #findHeld(query: DnatQuery, first: Holder): Promise<Found> {
    const deadline = performance.now() + ENGINE_TIME_LIMIT_MS;
    const rules = new Repeated(() => this.resolve(query));
    let holder: Holder | undefined = first;
    do {
      if (holder.container !== undefined) {
        return { targets: [holder.container], origin: 'docker-proxy', isHeld: true };
      }
      const next = this.#engine.nextHolderOf(query);
      // A socket that doesn't listen yet has no rule yet.
      if (holder.isListening) await Promise.race([next, rules.reading() ?? next]);
      if (rules.found.length > 0) break;
      holder = await next;
      // The container didn't start, or the port is being removed.
      if (holder === undefined) {
        return { targets: await this.resolve(query), origin: 'rule', isHeld: false };
      }
    } while (performance.now() < deadline);
    if (rules.found.length === 0) this.#report(JSON.stringify(query), leadsNowhere(query));
    return { targets: rules.found, origin: 'rule', isHeld: true };
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

  #report(subject: string, problem: SluiceError): void {
    if (this.#reported.has(subject)) return;
    this.#reported.add(subject);
    this.#onProblem(problem);
  }
}

function leadsNowhere({ proto, ...address }: DnatQuery): SluiceError {
  return new SluiceError(
    'ERR_DNAT_NOWHERE',
    `dockerd holds ${formatAddress(address)}/${proto}, but neither a DNAT rule nor docker-proxy leads on to a container, so its clients are refused; is dockerd running with both --iptables=false and --userland-proxy=false?`,
  );
}

/** A reading that is made again, after pauses that double, until it finds something. */
class Repeated {
  found: readonly Address[] = [];
  readonly #read: () => Promise<readonly Address[]>;
  #running: Promise<void> | undefined;
  #pauseMs = FIRST_PAUSE_MS;
  #readAt = 0;

  constructor(read: () => Promise<readonly Address[]>) {
    this.#read = read;
  }

  /** The end of the one that runs, or of the next one if it is due. */
  reading(): Promise<void> | undefined {
    if (performance.now() >= this.#readAt) this.#running ??= this.#once();
    return this.#running;
  }

  async #once(): Promise<void> {
    this.found = await this.#read();
    this.#readAt = performance.now() + this.#pauseMs;
    this.#pauseMs *= 2;
    this.#running = undefined;
  }
}
