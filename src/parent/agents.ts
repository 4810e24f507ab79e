/**
 * Keeps agents running for as long as the namespaces are there: one in each slot.
 *
 * An agent that ends is replaced by a spare one, which all slots share. Agents that another parent
 * has left are found and go on serving, or drain where they are to be replaced; its spare one,
 * which has no port, ends like that.
 */

import { messageOf, SluiceError } from '../msg/errors.js';
import type { Fd } from '../msg/fd.js';
import { hasEnded, openPidfd } from '../msg/pidfd.js';
import type { AgentInfo, AgentsInfo } from '../msg/port.js';
import { type AgentCalls, type AgentOptions, AgentProcess } from './agent.js';
import type { PortBack } from './agent-channel.js';
import { findAgents } from './agent-process.js';
import { AgentSlot } from './agent-slot.js';
import { type EventSink, problem } from './events/event.js';
import type { Poller } from './poller.js';
import { SpareAgent } from './spare-agent.js';

export interface AgentsOptions extends AgentOptions {
  /** How many serve. */
  readonly count: number;
  readonly poller: Poller;
  readonly calls: AgentCalls;
  readonly emit: EventSink;
  /** Tells an agent what it has to know, and gives it the ports of its slot that it lacks. */
  readonly prepare: (agent: AgentProcess, slot: number) => Promise<void>;
  /** Called every second or so. */
  readonly onHeartbeat: (agent: AgentProcess, slot: number) => Promise<void>;
  /** How long agents that are replaced may take for their flows. */
  readonly drainLimitMs: number;
}

export class Agents {
  readonly #options: AgentsOptions;
  readonly #life: Fd;
  readonly #spare: SpareAgent;
  readonly #slots: readonly AgentSlot[];
  readonly #draining = new Set<AgentProcess>();
  /** By slot: those of another parent that go on, unless they are to be replaced. */
  readonly #found: AgentProcess[] = [];
  /** Of another parent, too, and not to go on: of another installation, or too many. */
  readonly #leaving: AgentProcess[] = [];
  readonly #havingPorts = new Set<AgentProcess>();
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
    this.#slots = Array.from({ length: options.count }, (_, index) => this.#newSlot(index));
  }

  /**
   * Becomes the parent of agents that run already; returns their ports. Call it before `start`.
   * Rejects when this process can't, which costs no agent: `leave` them to another attempt. Ports
   * that were removed are taken from them.
   */
  async adopt(wasRemoved: (id: number) => boolean): Promise<PortBack[]> {
    const { child, early, poller, calls, emit } = this.#options;
    // Where one was started early the namespaces were just being made: nobody left another in there.
    if (early !== undefined) return [];
    const ports = new Map<number, PortBack>();
    for (const { pid, pidfd } of findAgents(child)) {
      let agent: AgentProcess | undefined;
      try {
        agent = await AgentProcess.adopt(pidfd, pid, poller, calls);
        this.#watchPortsOf(agent);
        const given = await livePorts(agent, wasRemoved);
        const slot = given.length > 0 ? this.#slotFor(agent) : undefined;
        for (const port of given) {
          if (ports.has(port.id)) port.sockets.forEach((socket) => socket.close());
          else ports.set(port.id, { ...port, ...(slot !== undefined && { slot }) });
        }
        if (given.length === 0) await this.#retire(agent);
      } catch (error) {
        if (!(error instanceof SluiceError && error.code.startsWith('ERR_AGENT'))) {
          agent?.leave();
          throw error;
        }
        // Its end shows when its slot is filled.
        if (error.code === 'ERR_AGENT_ENDED') continue;
        emit(problem(error, `agent ${pid} could not be taken over: `));
      }
    }
    return [...ports.values()];
  }

  /** How many of those that are to serve were not found. Call it after `adopt`. */
  get missing(): number {
    return this.#slots.length - this.#found.length;
  }

  /** Why a later driver could not take over the agents of this one; undefined where it could. */
  get doorError(): SluiceError | undefined {
    return this.servingNow.map((agent) => agent.doorError).find((error) => error !== undefined);
  }

  /** Those that have ports, or are being given them: not those that drain. */
  get havingPorts(): readonly AgentProcess[] {
    return [...this.#havingPorts];
  }

  /** Resolves once every slot serves. With `anew`, agents that were adopted are replaced and drain. */
  async start(anew: boolean): Promise<void> {
    const staying = anew ? [] : this.#found;
    const filling = this.#slots.map((slot, index) => {
      const found = staying[index];
      return slot.fill(found === undefined ? this.#startOne(index) : this.#goOn(found, index));
    });
    await Promise.all(filling);
    const leaving = anew ? [...this.#found, ...this.#leaving] : this.#leaving;
    for (const agent of leaving) await this.#retire(agent);
    for (const slot of this.#slots) slot.keep();
  }

  /**
   * Asks all that serve, or the one of a slot; should one end meanwhile, its successor is asked.
   * Settles when everybody has answered; rejects with the first failure.
   */
  async ask(request: (agent: AgentProcess) => Promise<void>, slot?: number): Promise<void> {
    const asked = slot === undefined ? this.#slots : this.#slots.slice(slot, slot + 1);
    const answers = await Promise.allSettled(asked.map((one) => one.ask(request)));
    const failed = answers.find((answer) => answer.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  /** Those that serve, in every slot: where one is being replaced, once its successor does. */
  serving(): Promise<AgentProcess[]> {
    return Promise.all(this.#slots.map((slot) => slot.serving()));
  }

  /** Those that serve now; a slot may have none. */
  get servingNow(): readonly AgentProcess[] {
    return this.#slots.flatMap(({ agent }) => agent ?? []);
  }

  get #all(): readonly AgentProcess[] {
    return [...this.servingNow, ...this.#draining];
  }

  /** Agents of this version, which understand every request; serving ones first. */
  get asked(): readonly AgentProcess[] {
    return this.#all.filter(({ foreign }) => foreign === undefined);
  }

  async info(): Promise<AgentsInfo> {
    const running = this.#all;
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
    for (const agent of await this.#everyone()) agent.leave();
    await this.#endSpare();
    this.#life.close();
  }

  /** Ends all of them. */
  async close(): Promise<void> {
    this.#over.abort();
    const agents = await this.#everyone();
    await Promise.all([this.#endSpare(), ...[...agents].map((agent) => agent.close())]);
    await Promise.all(this.#slots.map((slot) => slot.settled()));
    this.#life.close();
  }

  #newSlot(index: number): AgentSlot {
    const { emit, onHeartbeat } = this.#options;
    return new AgentSlot({
      startOne: () => this.#startOne(index),
      onHeartbeat: (agent) => {
        // There is a spare one once an agent has settled.
        if (!this.#isOver) this.#spare.replenish();
        return onHeartbeat(agent, index);
      },
      onReplaced: (reason, pauseMs) => {
        this.#lastEnd = reason;
        this.#restarts++;
        emit({ type: 'agentReplaced', reason, pauseMs });
      },
      over: this.#over.signal,
      isOver: () => this.#isOver,
    });
  }

  /** For an agent that was found; undefined where it can't stay. */
  #slotFor(agent: AgentProcess): number | undefined {
    const isFull = this.#found.length === this.#slots.length;
    if (!isFull && agent.foreign === undefined) return this.#found.push(agent) - 1;
    this.#leaving.push(agent);
    return undefined;
  }

  async #startOne(slot: number): Promise<AgentProcess> {
    return this.#prepared(await (this.#spare.take() ?? this.#startNew()), slot);
  }

  /** With one that was found; should it end before it serves, with another one. */
  async #goOn(found: AgentProcess, slot: number): Promise<AgentProcess> {
    try {
      return await this.#prepared(found, slot);
    } catch (error) {
      if (!found.isGone) throw error;
      const reason = messageOf(await found.ended);
      this.#options.emit({ type: 'agentReplaced', reason, pauseMs: 0 });
      return this.#startOne(slot);
    }
  }

  #startNew(): Promise<AgentProcess> {
    const { poller, calls } = this.#options;
    return AgentProcess.start(this.#options, poller, calls);
  }

  async #endSpare(): Promise<void> {
    const spare = await this.#spare.take()?.catch(() => undefined);
    await spare?.close();
  }

  async #prepared(agent: AgentProcess, slot: number): Promise<AgentProcess> {
    this.#watchPortsOf(agent);
    try {
      await this.#options.prepare(agent, slot);
      return agent;
    } catch (error) {
      await agent.close();
      throw error;
    }
  }

  /** But for the spare one: those that serve or drain, or would have. */
  async #everyone(): Promise<Set<AgentProcess>> {
    const last = await Promise.all(this.#slots.map((slot) => slot.last()));
    const serving = last.flatMap((agent) => agent ?? []);
    return new Set([...serving, ...this.#found, ...this.#leaving, ...this.#draining]);
  }

  #watchPortsOf(agent: AgentProcess): void {
    this.#havingPorts.add(agent);
    void agent.ended.then(() => this.#havingPorts.delete(agent));
  }

  async #retire(agent: AgentProcess): Promise<void> {
    this.#havingPorts.delete(agent);
    this.#draining.add(agent);
    void agent.ended.then(() => this.#draining.delete(agent));
    await agent.drain(this.#options.drainLimitMs).catch((error: unknown) => {
      const emit = agent.isGone ? () => {} : this.#options.emit;
      emit(problem(error, `agent ${agent.pid} does not drain: `));
    });
  }

  /** The driver closes, or there is nothing left to serve. */
  get #isOver(): boolean {
    return this.#over.signal.aborted || hasEnded(this.#life.number);
  }
}

/** What an agent gives back, but for ports that were removed, which it is to have no more. */
async function livePorts(
  agent: AgentProcess,
  wasRemoved: (id: number) => boolean,
): Promise<PortBack[]> {
  const given = await agent.takeBack();
  const dead = given.filter(({ id }) => wasRemoved(id));
  for (const socket of dead.flatMap(({ sockets }) => sockets)) socket.close();
  // One of another version drains anyway.
  if (agent.foreign === undefined) await Promise.all(dead.map(({ id }) => agent.removePort(id)));
  return given.filter((port) => !dead.includes(port));
}

function described({ pid, startedAt }: AgentProcess, state: AgentInfo['state']): AgentInfo {
  return { pid, state, since: startedAt.toISOString() };
}

/** Undefined while it is pending, and when it has failed. */
function soFar<T>(promise: Promise<T> | undefined): Promise<T | undefined> {
  const now = new Promise<undefined>((done) => setImmediate(() => done(undefined)));
  return Promise.race([promise?.catch(() => undefined), now]);
}
