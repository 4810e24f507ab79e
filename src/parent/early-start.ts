/**
 * What is begun while the rest of the driver is still being loaded and the namespaces get their
 * network: an agent, and what its use of clients' addresses needs. Each takes as long as that.
 *
 * It is used if it is there when the driver wants it. Whatever keeps the agent from that is told by
 * the one that is started in its place, which meets the same.
 */

import { kill } from '../msg/pidfd.js';
import type { AgentPlace } from './agent-place.js';
import { type SpawnedAgent, spawnAgent } from './agent-process.js';
import { setUpSourceAddressing, type SourceAddressing } from './source-address/set-up.js';

export class EarlyStart {
  readonly #place: AgentPlace;
  #spawned: Promise<SpawnedAgent | undefined>;
  #sources: Promise<SourceAddressing> | undefined;

  constructor(place: AgentPlace) {
    const { child, bearsClients } = place;
    this.#place = place;
    this.#spawned = spawnAgent(child, bearsClients).catch(() => undefined);
    if (bearsClients) this.#sources = setUpSourceAddressing(child);
  }

  /** Else it is to be ended before anything else is begun in the namespaces: it undoes its rules. */
  isFor({ child, bearsClients }: AgentPlace): boolean {
    const own = this.#place;
    const isThere = child.pid === own.child.pid && child.netnsPath === own.child.netnsPath;
    return isThere && bearsClients === own.bearsClients;
  }

  /** The caller's from now on; undefined when there is none. */
  async takeAgent(): Promise<SpawnedAgent | undefined> {
    const spawned = this.#spawned;
    this.#spawned = Promise.resolve(undefined);
    return spawned;
  }

  /** The caller's from now on; undefined when nothing was set up. */
  takeSources(): Promise<SourceAddressing> | undefined {
    const sources = this.#sources;
    this.#sources = undefined;
    return sources;
  }

  /** Ends and undoes what nobody has taken. */
  async end(): Promise<void> {
    const sources = this.#sources;
    this.#sources = undefined;
    await Promise.all([this.#endAgent(), sources?.then((set) => set.undo())]);
  }

  async #endAgent(): Promise<void> {
    const spawned = await this.#spawned;
    this.#spawned = Promise.resolve(undefined);
    if (spawned === undefined) return;
    const { process, channel, held } = spawned;
    using _ = held;
    kill(process.pidfd.number);
    await process.ended;
    process.pidfd.close();
    channel.close();
  }
}
