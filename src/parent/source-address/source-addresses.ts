/** Clients' addresses in one run of the driver: what is set up for them, and the watch over that. */

import type { SourcePolicy } from '../../msg/source-address.js';
import type { AgentPlace } from '../agent-place.js';
import type { Agents } from '../agents.js';
import type { EarlyStart } from '../early-start.js';
import { problem } from '../events/event.js';
import { NOT_SET_UP, SWITCHED_OFF } from '../source-ip-info.js';
import { type KeptFamilies, setUpSourceAddressing, type SourceAddressing } from './set-up.js';
import { SourceWatch, type WatchOptions } from './watch.js';

interface Watched extends Omit<WatchOptions, 'addressing' | 'onKept'> {
  /** Told when a family is no longer kept, or again. */
  readonly agents: Agents;
}

export class SourceAddresses {
  readonly #isRequired: boolean;
  #setUp: Promise<SourceAddressing> = Promise.resolve(NOT_SET_UP);
  #watch: Promise<SourceWatch | undefined> = Promise.resolve(undefined);

  /** With `isRequired` a flow that can't have its client's address is refused. */
  constructor(isRequired: boolean) {
    this.#isRequired = isRequired;
  }

  setUp({ bearsClients, child }: AgentPlace, early: EarlyStart | undefined): void {
    if (!bearsClients) this.#setUp = Promise.resolve(SWITCHED_OFF);
    else this.#setUp = early?.takeSources() ?? setUpSourceAddressing(child);
  }

  /** From now on what others remove is put back. */
  watch({ agents, ...options }: Watched): void {
    const onKept = (kept: KeptFamilies) => {
      for (const agent of agents.asked) {
        agent
          .setSourcePolicy(this.#policyOf(kept))
          .catch((error: unknown) => agent.isGone || options.emit(problem(error)));
      }
    };
    this.#watch = this.#setUp
      .then((addressing) => new SourceWatch({ ...options, addressing, onKept }))
      // The namespaces have ended.
      .catch(() => undefined);
  }

  /**
   * Resolves once all that is known to have been removed is there again, or can't be put back; after
   * three seconds in any case, as another program may go on removing it.
   */
  async settled(): Promise<void> {
    await this.#setUp;
    await (await this.#watch)?.now();
  }

  /** For an agent. */
  async policy(): Promise<SourcePolicy> {
    const addressing = await this.#setUp;
    return this.#policyOf((await this.#watch)?.kept ?? addressing);
  }

  /** For people. */
  async now(): Promise<SourceAddressing> {
    const addressing = await this.#setUp;
    return { ...addressing, ...(await (await this.#watch)?.now()) };
  }

  /** All stays as it is. */
  async leave(): Promise<void> {
    await (await this.#watch)?.close();
  }

  async undo(): Promise<void> {
    await this.leave();
    await (await this.#setUp).undo();
  }

  #policyOf({ ipv4, ipv6 }: KeptFamilies): SourcePolicy {
    return { ipv4, ipv6, isRequired: this.#isRequired };
  }
}
