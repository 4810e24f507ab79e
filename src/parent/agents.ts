/**
 * Keeps an agent running for as long as the namespaces are there.
 *
 * An agent that ends unasked, or gives no answer for a while, is replaced at once, by a spare one;
 * one that lived for less than a second only after a pause that doubles, because its successor may
 * well meet the same. Meanwhile clients wait in the backlog of the parent's own sockets. Agents that
 * another parent has left are found and go on serving, or drain where they are to be replaced; its
 * spare one, which has no port, ends like that.
 */

import { messageOf, SluiceError } from '../msg/errors.js';
import type { Fd } from '../msg/fd.js';
import { hasEnded, openPidfd } from '../msg/pidfd.js';
import type { AgentInfo, AgentsInfo } from '../msg/port.js';
import { type AgentCalls, type AgentOptions, AgentProcess } from './agent.js';
import type { PortBack } from './agent-channel.js';
import { findAgents } from './agent-process.js';
import { type EventSink, problem } from './events/event.js';
import { pause } from './pause.js';
import type { Poller } from './poller.js';
import { SpareAgent } from './spare-agent.js';
import { aborted } from './aborted.js';

const MIN_LIFE_MS = 1000;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 10_000;
const HEARTBEAT_MS = 1000;
/** In heartbeats, not in time: a machine that was suspended must not count as an agent's silence. */
const MOST_UNANSWERED = 5;
/** How long a request waits for an agent that is being replaced. */
const REQUEST_WAIT_MS = 20_000;

export interface AgentsOptions extends AgentOptions {
  readonly poller: Poller;
  readonly calls: AgentCalls;
  readonly emit: EventSink;
  /** Tells a new agent, or one that was found (`isNew` is false), what it has to know. */
  readonly prepare: (agent: AgentProcess, isNew: boolean) => Promise<void>;
  /** Called every second or so. */
  readonly onHeartbeat: (agent: AgentProcess) => Promise<void>;
  /** How long agents that are replaced may take for their flows. */
  readonly drainLimitMs: number;
}

export class Agents {
  readonly #options: AgentsOptions;
  readonly #life: Fd;
  readonly #spare: SpareAgent;
  readonly #draining = new Set<AgentProcess>();
  #found: AgentProcess | undefined;
  #current: Promise<AgentProcess> | undefined;
  #keeping: Promise<void> = Promise.resolve();
  readonly #over = new AbortController();
  #restarts = 0;
  #lastEnd: string | undefined;

  constructor(options: AgentsOptions) {
    this.#options = options;
    this.#life = openPidfd(options.child.pid);
    this.#spare = new SpareAgent(
      () => this.#startNew(),
      (error) => {
        if (!this.#isOver) options.emit(problem(error, 'there is no spare agent for a while: '));
      },
    );
  }

  /**
   * Becomes the parent of agents that run already; returns their ports. Call it before `start`.
   * Rejects when this process can't, which costs no agent: `leave` them to another attempt.
   */
  async adopt(): Promise<PortBack[]> {
    const { child, poller, calls, emit } = this.#options;
    const ports = new Map<number, PortBack>();
    for (const { pid, pidfd } of findAgents(child)) {
      let agent: AgentProcess | undefined;
      try {
        agent = await AgentProcess.adopt(pidfd, pid, poller, calls);
        const given = await agent.takeBack();
        for (const port of given) {
          if (ports.has(port.id)) port.sockets.forEach((socket) => socket.close());
          else ports.set(port.id, port);
        }
        if (this.#found === undefined && given.length > 0) this.#found = agent;
        else await this.#retire(agent);
      } catch (error) {
        if (!(error instanceof SluiceError && error.code.startsWith('ERR_AGENT'))) {
          agent?.leave();
          throw error;
        }
        emit(problem(error, `agent ${pid} could not be taken over: `));
      }
    }
    return [...ports.values()];
  }

  /** Resolves once an agent serves. With `anew`, one that was adopted is replaced and drains. */
  async start(anew: boolean): Promise<void> {
    const found = this.#found;
    const stays = found !== undefined && found.foreign === undefined && !anew;
    const first = stays ? this.#prepared(found, false) : this.#startOne();
    this.#current = first;
    const agent = await first;
    if (!stays && found !== undefined) await this.#retire(found);
    this.#keeping = this.#keep(agent);
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
    const limit = AbortSignal.timeout(REQUEST_WAIT_MS);
    const late = aborted(limit).then(() => {
      const why = this.#lastEnd === undefined ? '' : `; the last one: ${this.#lastEnd}`;
      throw new SluiceError('ERR_NO_AGENT', `no agent runs at present${why}`);
    });
    return Promise.race([this.#current, late]);
  }

  /** Undefined while there is none. */
  async servingNow(): Promise<AgentProcess | undefined> {
    const agent = await soFar(this.#current);
    return agent?.isGone === false ? agent : undefined;
  }

  /** The one that serves first. */
  async all(): Promise<AgentProcess[]> {
    const serving = await this.servingNow();
    return [...(serving === undefined ? [] : [serving]), ...this.#draining];
  }

  /** Those of this installation, whom anything can be asked; the one that serves first. */
  async asked(): Promise<AgentProcess[]> {
    return (await this.all()).filter(({ foreign }) => foreign === undefined);
  }

  async info(): Promise<AgentsInfo> {
    const running = await this.all();
    const spare = await soFar(this.#spare.agent);
    return {
      running: [
        ...running.map((agent) =>
          described(agent, this.#draining.has(agent) ? 'draining' : 'serving'),
        ),
        ...(spare === undefined ? [] : [described(spare, 'spare')]),
      ],
      restarts: this.#restarts,
      ...(this.#lastEnd !== undefined && { lastEnd: this.#lastEnd }),
    };
  }

  /** They go on without this parent. */
  async leave(): Promise<void> {
    this.#over.abort();
    const current = await this.#current?.catch(() => undefined);
    for (const agent of new Set([current, this.#found, ...this.#draining])) agent?.leave();
    await this.#endSpare();
    this.#life.close();
  }

  /** Ends all of them. */
  async close(): Promise<void> {
    this.#over.abort();
    const current = await this.#current?.catch(() => undefined);
    const agents = new Set([current, this.#found, ...this.#draining]);
    await Promise.all([this.#endSpare(), ...[...agents].map(async (agent) => agent?.close())]);
    await this.#keeping;
    this.#life.close();
  }

  async #keep(first: AgentProcess): Promise<void> {
    let agent = first;
    let pauseMs = 0;
    while (!this.#isOver) {
      const startedAt = performance.now();
      using _ = this.#watch(agent);
      const reason = await agent.ended;
      if (this.#isOver) return;
      pauseMs = performance.now() - startedAt < MIN_LIFE_MS ? longer(pauseMs) : 0;
      const successor = this.#successor(reason, pauseMs);
      // Whoever asks meanwhile gets it; that there is none matters to nobody once all is over.
      successor.catch(() => {});
      this.#current = successor;
      try {
        agent = await successor;
      } catch {
        return;
      }
    }
  }

  /** Tries until one runs; rejects when all is over. */
  async #successor(reason: SluiceError, firstPauseMs: number): Promise<AgentProcess> {
    let why = messageOf(reason);
    for (let pauseMs = firstPauseMs; ; pauseMs = longer(pauseMs)) {
      this.#lastEnd = why;
      this.#restarts++;
      this.#options.emit({ type: 'agentReplaced', reason: why, pauseMs });
      if (pauseMs > 0) await pause(pauseMs, this.#over.signal);
      if (this.#isOver) throw reason;
      try {
        return await this.#startOne();
      } catch (error) {
        why = messageOf(error);
      }
    }
  }

  async #startOne(): Promise<AgentProcess> {
    return this.#prepared(await (this.#spare.take() ?? this.#startNew()), true);
  }

  #startNew(): Promise<AgentProcess> {
    const { poller, calls } = this.#options;
    return AgentProcess.start(this.#options, poller, calls);
  }

  async #endSpare(): Promise<void> {
    const spare = await this.#spare.take()?.catch(() => undefined);
    await spare?.close();
  }

  async #prepared(agent: AgentProcess, isNew: boolean): Promise<AgentProcess> {
    try {
      await this.#options.prepare(agent, isNew);
      return agent;
    } catch (error) {
      await agent.close();
      throw error;
    }
  }

  async #retire(agent: AgentProcess): Promise<void> {
    this.#draining.add(agent);
    void agent.ended.then(() => this.#draining.delete(agent));
    await agent.drain(this.#options.drainLimitMs).catch((error: unknown) => {
      const emit = agent.isGone ? () => {} : this.#options.emit;
      emit(problem(error, `agent ${agent.pid} does not drain: `));
    });
  }

  /** Gives an agent up that has stopped; keeps a spare one once it has settled. */
  #watch(agent: AgentProcess): Disposable {
    let unanswered = 0;
    const beat = () => {
      if (!this.#isOver) this.#spare.replenish();
      if (unanswered >= MOST_UNANSWERED) {
        const silence = `the agent did not answer for ${(MOST_UNANSWERED * HEARTBEAT_MS) / 1000} s`;
        agent.kill(new SluiceError('ERR_AGENT_TIMEOUT', silence));
        return;
      }
      unanswered++;
      // A failure is the agent's end, which shows elsewhere.
      void this.#options.onHeartbeat(agent).then(
        () => (unanswered = 0),
        () => {},
      );
    };
    const timer = setInterval(beat, HEARTBEAT_MS);
    timer.unref();
    return { [Symbol.dispose]: () => clearInterval(timer) };
  }

  /** The driver closes, or there is nothing left to serve. */
  get #isOver(): boolean {
    return this.#over.signal.aborted || hasEnded(this.#life.number);
  }
}

function described({ pid, startedAt }: AgentProcess, state: AgentInfo['state']): AgentInfo {
  return { pid, state, since: startedAt.toISOString() };
}

/** Undefined while it is pending, and when it has failed. */
function soFar<T>(promise: Promise<T> | undefined): Promise<T | undefined> {
  const now = new Promise<undefined>((done) => setImmediate(() => done(undefined)));
  return Promise.race([promise?.catch(() => undefined), now]);
}

function longer(pauseMs: number): number {
  return Math.min(Math.max(FIRST_PAUSE_MS, 2 * pauseMs), LONGEST_PAUSE_MS);
}
