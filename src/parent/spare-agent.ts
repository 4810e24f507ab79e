/**
 * An agent in reserve: it was started beforehand, because a start takes some 170 ms of a processor,
 * which clients would wait for. It has been told nothing and serves nothing, so its own end costs
 * nobody anything.
 */

import type { AgentProcess } from './agent.js';

/** What ended, or did not start, may well do so again. */
const PAUSE_MS = 10_000;

export class SpareAgent {
  readonly #start: () => Promise<AgentProcess>;
  readonly #onLost: (error: unknown) => void;
  #agent: Promise<AgentProcess> | undefined;
  #notBefore = 0;

  /** `onLost` is told why one has ended or could not be started. */
  constructor(start: () => Promise<AgentProcess>, onLost: (error: unknown) => void) {
    this.#start = start;
    this.#onLost = onLost;
  }

  /** Undefined while there is none; it may still be starting. */
  get agent(): Promise<AgentProcess> | undefined {
    return this.#agent;
  }

  /** Starts one, unless there is one or the last one was lost a moment ago. */
  replenish(): void {
    if (this.#agent !== undefined || performance.now() < this.#notBefore) return;
    this.#agent = this.#start();
    void this.#watch(this.#agent);
  }

  /** The caller's from now on. */
  take(): Promise<AgentProcess> | undefined {
    const agent = this.#agent;
    this.#agent = undefined;
    return agent;
  }

  async #watch(agent: Promise<AgentProcess>): Promise<void> {
    const end = await agent.then(({ ended }) => ended).catch((error: unknown) => error);
    if (this.#agent !== agent) return;
    this.#agent = undefined;
    this.#notBefore = performance.now() + PAUSE_MS;
    this.#onLost(end);
  }
}
