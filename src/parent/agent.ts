/** One agent, started here or found running: asked through its channel, ended by its pidfd. */

import type { AgentPort, Resolution } from '../msg/agent-port.js';
import { Channel, socketPair } from '../msg/channel.js';
import { SluiceError } from '../msg/errors.js';
import { Fd } from '../msg/fd.js';
import type { Flows } from '../msg/flows.js';
import * as libc from '../msg/libc.js';
import type { FlowLimits } from '../msg/overload.js';
import type { Transport } from '../msg/port.js';
import { MAX_PORTS_PER_MESSAGE, type PortReport } from '../msg/port-stats.js';
import type { SourcePolicy } from '../msg/source-address.js';
import type { AgentStats } from '../msg/stats.js';
import type { UdpTimeouts } from '../msg/udp-timeouts.js';
import type { AgentChannel, PortBack, Reply } from './agent-channel.js';
import { doorError } from './agent-door.js';
import { AGENT_FDS } from './agent-fds.js';
import { type AgentCalls, greet, type Greeted, killProcess } from './agent-greeting.js';
import {
  foundProcess,
  type RunningProcess,
  type SpawnedAgent,
  spawnAgent,
} from './agent-process.js';
import type { AgentPlace } from './agent-place.js';
import type { EarlyStart } from './early-start.js';
import { PATIENCE_S } from './patience.js';
import type { Poller } from './poller.js';

/** From the start of nsenter to the agent's hello. So long only for a cold disk or a busy processor. */
const START_TIMEOUT_S = 60;
/** From asking it to end to SIGKILL. */
const STOP_TIMEOUT_MS = 2000;

export interface AgentOptions extends AgentPlace {
  /** An agent that was started already is the first. */
  readonly early?: EarlyStart | undefined;
}

export type { AgentCalls };

export class AgentProcess {
  readonly pid: number;
  /** Resolves with the reason once the process has ended, wanted or not. */
  readonly ended: Promise<SluiceError>;
  /** What it can make sockets of. */
  readonly transports: readonly Transport[];
  readonly startedAt = new Date();
  readonly #ports = new Set<number>();
  /** Why it can't be asked for more than its ports and its end: it is of another installation. */
  readonly foreign: SluiceError | undefined;
  readonly #channel: AgentChannel;
  readonly #process: RunningProcess;

  private constructor(process: RunningProcess, greeted: Greeted) {
    this.pid = process.pid;
    this.ended = greeted.ended;
    this.transports = greeted.transports;
    this.foreign = greeted.foreign;
    this.#channel = greeted.channel;
    this.#process = process;
  }

  /** Rejects with ERR_AGENT_START when the namespaces can't be entered or the agent doesn't start. */
  static async start(
    options: AgentOptions,
    poller: Poller,
    calls: AgentCalls,
  ): Promise<AgentProcess> {
    const early = await options.early?.takeAgent();
    try {
      if (early !== undefined) return await AgentProcess.#begun(early, poller, calls);
    } catch {
      // What it was tells the next one.
    }
    const spawned = await spawnAgent(options.child, options.bearsClients);
    return AgentProcess.#begun(spawned, poller, calls);
  }

  static async #begun(spawned: SpawnedAgent, poller: Poller, calls: AgentCalls) {
    const { process, channel, held } = spawned;
    using _ = held;
    const greeted = await greet({ process, channel, poller, calls, timeoutS: START_TIMEOUT_S });
    const agent = new AgentProcess(process, greeted);
    if (agent.foreign === undefined) return agent;
    await agent.close();
    throw agent.foreign;
  }

  /**
   * Becomes the parent of an agent that another parent has left; owns `pidfd` from now on. Rejects
   * with ERR_AGENT_START when it doesn't answer and ERR_AGENT_DOOR when it can't be entered; it has
   * ended then. With other errors, which are this process's own, it goes on.
   */
  static async adopt(pidfd: Fd, pid: number, poller: Poller, calls: AgentCalls) {
    using found = pidfd;
    const [ours, theirs] = socketPair();
    using control = ours;
    using inside = theirs;
    const taken = takeDoor(found);
    const process = foundProcess(pid, new Fd(found.release()), poller);
    if (taken instanceof SluiceError) {
      if (taken.code !== 'ERR_AGENT_DOOR') {
        process.forget();
        throw taken;
      }
      killProcess(process);
      await process.ended;
      process.pidfd.close();
      throw taken;
    }
    using door = new Channel(taken);
    door.send({ type: 'door', fds: 1 }, [inside.number]);
    const channel = new Channel(new Fd(control.release()));
    const greeted = await greet({ process, channel, poller, calls, timeoutS: PATIENCE_S });
    return new AgentProcess(process, greeted);
  }

  /** Why a later driver could not take this agent over; undefined where it could. */
  get doorError(): SluiceError | undefined {
    if (!this.#process.pidfd.isOpen) return undefined;
    const taken = takeDoor(this.#process.pidfd);
    if (taken instanceof SluiceError) return taken.code === 'ERR_AGENT_DOOR' ? taken : undefined;
    taken.close();
    return undefined;
  }

  /** Hung up or unreachable: what was asked last may or may not have been done. */
  get isGone(): boolean {
    return this.#channel.isClosed;
  }

  /**
   * `sockets` are the port's listening sockets; they stay the caller's. With `known` its first flow
   * need not wait for an answer.
   */
  async addPort(port: AgentPort, sockets: readonly number[], known?: Resolution): Promise<void> {
    const added = this.#channel.request({ type: 'addPort', port, fds: sockets.length }, sockets);
    if (known !== undefined) this.#channel.answer(port.id, known);
    this.#ports.add(port.id);
    try {
      await added;
    } catch (error) {
      this.#ports.delete(port.id);
      throw error;
    }
  }

  /** True from the moment that it is given the port, unless it refuses, until that is removed. */
  has(id: number): boolean {
    return this.#ports.has(id);
  }

  /** An agent that ends meanwhile has no port left either. */
  async removePort(id: number): Promise<void> {
    this.#ports.delete(id);
    try {
      await this.#channel.request({ type: 'removePort', id });
    } catch (error) {
      if (!this.isGone) throw error;
      await this.ended;
    }
  }

  async setSourcePolicy(policy: SourcePolicy): Promise<void> {
    await this.#channel.request({ type: 'sourcePolicy', policy });
  }

  async setUdpTimeouts(timeouts: UdpTimeouts): Promise<void> {
    await this.#channel.request({ type: 'udpTimeouts', timeouts });
  }

  async setLimits(limits: FlowLimits): Promise<void> {
    await this.#channel.request({ type: 'limits', limits });
  }

  async stats(): Promise<AgentStats> {
    const reply = await this.#channel.request({ type: 'stats' });
    if (reply.type === 'stats') return reply.stats;
    throw strange('stats', reply);
  }

  /** Of every port, in the order of their ids. */
  async portStats(): Promise<PortReport[]> {
    const all: PortReport[] = [];
    for (;;) {
      const after = all.at(-1)?.stats.id ?? 0;
      const reply = await this.#channel.request({ type: 'portStats', after });
      if (reply.type !== 'portStats') throw strange('portStats', reply);
      all.push(...reply.ports);
      if (reply.ports.length < MAX_PORTS_PER_MESSAGE) return all;
    }
  }

  /** Of one port, `most` at most; none of a port that it never had. */
  async flows(id: number, most: number): Promise<Flows> {
    const reply = await this.#channel.request({ type: 'flows', id, most });
    if (reply.type === 'flows') return reply;
    throw strange('flows', reply);
  }

  /** Every port that it serves, with duplicates of its sockets. It goes on serving them. */
  async takeBack(): Promise<PortBack[]> {
    const ports: PortBack[] = [];
    try {
      await this.#channel.request({ type: 'takeBack' }, [], (port) => ports.push(port));
      for (const { id } of ports) this.#ports.add(id);
      if (ports.every(({ sockets }) => sockets.length > 0)) return ports;
      const what = `the driver may open no more files, and needs the sockets of ${ports.length} ports`;
      throw new SluiceError('EMFILE', `${what}; raise the limit (ulimit -n)`);
    } catch (error) {
      for (const socket of ports.flatMap(({ sockets }) => sockets)) socket.close();
      throw error;
    }
  }

  /** It takes nothing new, and ends by itself once its flows have, at the latest after `limitMs`. */
  async drain(limitMs: number): Promise<void> {
    await this.#channel.request({ type: 'drain', limitMs });
  }

  /** Gives up an agent that has stopped. */
  kill(reason: SluiceError): void {
    this.#channel.fail(reason);
  }

  /** Hangs up on an agent that goes on, for a later parent. */
  leave(): void {
    this.#channel.close(new SluiceError('ERR_AGENT_LEFT', 'the driver has left its agents'));
    this.#process.forget();
  }

  /** Asks it to end, and resolves when the process is gone. */
  async close(): Promise<void> {
    this.#channel.quit();
    const timer = setTimeout(() => killProcess(this.#process), STOP_TIMEOUT_MS);
    await this.ended;
    clearTimeout(timer);
    this.#channel.close(new SluiceError('ERR_AGENT_CLOSED', 'the driver is closing'));
  }
}

function strange(question: string, reply: Reply): SluiceError {
  return new SluiceError('ERR_AGENT_REPLY', `the agent answered ${question} with ${reply.type}`);
}

/** pidfd_getfd(2), which takes the right to trace the agent: see agent-door.ts. */
function takeDoor(pidfd: Fd): Fd | SluiceError {
  const number = libc.pidfdGetfd(pidfd.number, AGENT_FDS.doorOutside);
  return number >= 0 ? new Fd(number) : doorError(number);
}
