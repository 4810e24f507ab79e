/**
 * An agent that is started while the rest of the driver is still being loaded and the namespaces get
 * their network: both take as long as its own start.
 *
 * It is used if it is there when the driver wants its first agent. Whatever keeps it from that is told
 * by the one that is started in its place, which meets the same.
 */

import { kill } from '../msg/pidfd.js';
import type { AgentPlace } from './agent-place.js';
import { type SpawnedAgent, spawnAgent } from './agent-process.js';

export class EarlyAgent {
  readonly #place: AgentPlace;
  #spawned: Promise<SpawnedAgent | undefined>;

  constructor(place: AgentPlace) {
    this.#place = place;
    this.#spawned = spawnAgent(place.child, place.bearsClients).catch(() => undefined);
  }

  /** The caller's from now on; undefined when there is none for that place. */
  async take(place: AgentPlace): Promise<SpawnedAgent | undefined> {
    if (!isSame(place, this.#place)) return undefined;
    const spawned = this.#spawned;
    this.#spawned = Promise.resolve(undefined);
    return spawned;
  }

  /** Of one that nobody has taken yet. */
  get pid(): Promise<number | undefined> {
    return this.#spawned.then((spawned) => spawned?.process.pid);
  }

  /** Ends one that nobody has taken. */
  async end(): Promise<void> {
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

function isSame(one: AgentPlace, other: AgentPlace): boolean {
  return (
    one.child.pid === other.child.pid &&
    one.child.netnsPath === other.child.netnsPath &&
    one.bearsClients === other.bearsClients
  );
}
