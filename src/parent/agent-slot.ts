/**
 * The place of one serving agent.
 *
 * An agent that ends unasked, or gives no answer for a while, is replaced at once; one that lived
 * for less than a second only after a pause that doubles, because its successor may well meet the
 * same. Meanwhile clients are served from other slots, or wait at the parent's own sockets.
 */

import { uptime } from 'node:process';
import { messageOf, SluiceError } from '../msg/errors.js';
import { aborted } from './aborted.js';
import type { AgentProcess } from './agent.js';
import { PATIENCE_S } from './patience.js';
import { pause } from './pause.js';

const MIN_LIFE_S = 1;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 10_000;
const HEARTBEAT_MS = 1000;
/** In heartbeats, not in time: see patience.ts. */
const MOST_UNANSWERED = PATIENCE_S;
/** How long a request waits for an agent that is being replaced. */
const REQUEST_WAIT_MS = 20_000;

export interface SlotOptions {
  /** Resolves with an agent that has every port of this slot. */
  readonly startOne: () => Promise<AgentProcess>;
  /** Called every second or so. */
  readonly onHeartbeat: (agent: AgentProcess) => Promise<void>;
  /** An agent has ended, or was not to be started; another one follows after the pause. */
  readonly onReplaced: (reason: string, pauseMs: number) => void;
  readonly over: AbortSignal;
  /** True after `over`, and when there is nothing left to serve. */
  readonly isOver: () => boolean;
}

export class AgentSlot {
  readonly #options: SlotOptions;
  #current: Promise<AgentProcess> | undefined;
  #latest: AgentProcess | undefined;
  #keeping: Promise<void> = Promise.resolve();
  #lastEnd: string | undefined;

  constructor(options: SlotOptions) {
    this.#options = options;
  }

  /** Undefined while there is none. */
  get agent(): AgentProcess | undefined {
    return this.#latest?.isGone === false ? this.#latest : undefined;
  }

  /** Whoever asks meanwhile waits for it. */
  async fill(first: Promise<AgentProcess>): Promise<void> {
    this.#current = first;
    this.#latest = await first;
  }

  /** Replaces, from now on, the agent that it was filled with, and each after it. */
  keep(): void {
    if (this.#latest !== undefined) this.#keeping = this.#keep(this.#latest);
  }

  /** Asks the agent; should it end meanwhile, its successor is asked. */
  async ask(request: (agent: AgentProcess) => Promise<void>): Promise<void> {
    const agent = await this.serving();
    try {
      await request(agent);
    } catch (error) {
      if (!agent.isGone) throw error;
      await agent.ended;
      await request(await this.serving());
    }
  }

  /** The agent that serves now, or will once it has every port. */
  async serving(): Promise<AgentProcess> {
    const state = 'ERR_DRIVER_STATE';
    if (this.#current === undefined) throw new SluiceError(state, 'the port driver is not running');
    if (this.agent !== undefined) return this.agent;
    const limit = AbortSignal.timeout(REQUEST_WAIT_MS);
    const late = aborted(limit).then(() => {
      const why = this.#lastEnd === undefined ? '' : `; the last one: ${this.#lastEnd}`;
      throw new SluiceError('ERR_NO_AGENT', `no agent runs at present${why}`);
    });
    return Promise.race([this.#current, late]);
  }

  /** Whom it has, or gets yet, when all is over. */
  async last(): Promise<AgentProcess | undefined> {
    return this.#current?.catch(() => undefined);
  }

  /** Resolves once nobody is replaced any more: call it when all is over. */
  settled(): Promise<void> {
    return this.#keeping;
  }

  async #keep(first: AgentProcess): Promise<void> {
    let agent = first;
    let pauseMs = 0;
    while (!this.#options.isOver()) {
      // Not `performance`, which would be loaded for this before the driver serves.
      const startedAt = uptime();
      using _ = this.#watch(agent);
      const reason = await agent.ended;
      if (this.#options.isOver()) return;
      pauseMs = uptime() - startedAt < MIN_LIFE_S ? longer(pauseMs) : 0;
      const successor = this.#successor(reason, pauseMs);
      // Whoever asks meanwhile gets it; that there is none matters to nobody once all is over.
      successor.catch(() => {});
      this.#current = successor;
      try {
        agent = await successor;
        this.#latest = agent;
      } catch {
        return;
      }
    }
  }

  /** Tries until one runs; rejects when all is over. */
  async #successor(reason: SluiceError, firstPauseMs: number): Promise<AgentProcess> {
    const { startOne, onReplaced, over, isOver } = this.#options;
    let why = messageOf(reason);
    for (let pauseMs = firstPauseMs; ; pauseMs = longer(pauseMs)) {
      this.#lastEnd = why;
      onReplaced(why, pauseMs);
      if (pauseMs > 0) await pause(pauseMs, over);
      if (isOver()) throw reason;
      try {
        return await startOne();
      } catch (error) {
        why = messageOf(error);
      }
    }
  }

  /** Gives an agent up that has stopped. */
  #watch(agent: AgentProcess): Disposable {
    let unanswered = 0;
    const beat = () => {
      if (unanswered >= MOST_UNANSWERED) {
        const silence = `the agent did not answer for ${(MOST_UNANSWERED * HEARTBEAT_MS) / 1000} s`;
        agent.kill(new SluiceError('ERR_AGENT_TIMEOUT', silence));
        return;
      }
      unanswered++;
      void this.#options.onHeartbeat(agent).then(
        () => (unanswered = 0),
        // Another failure is an answer, too.
        () => (unanswered = agent.isGone ? unanswered : 0),
      );
    };
    const timer = setInterval(beat, HEARTBEAT_MS);
    timer.unref();
    return { [Symbol.dispose]: () => clearInterval(timer) };
  }
}

function longer(pauseMs: number): number {
  return Math.min(Math.max(FIRST_PAUSE_MS, 2 * pauseMs), LONGEST_PAUSE_MS);
}
