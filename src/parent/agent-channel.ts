/**
 * Requests to an agent and their answers. Every request ends: with its answer, or with the reason
 * why the channel was closed. An agent that misses a deadline has stopped; its channel is closed.
 *
 * An agent of another version is sent, and is heard of, stable messages only (msg/protocol.ts):
 * other requests are refused here, and whatever else it says is dropped.
 */

import type { Resolution } from '../msg/agent-port.js';
import type { Channel } from '../msg/channel.js';
import { messageOf, SluiceError } from '../msg/errors.js';
import { Fd } from '../msg/fd.js';
import * as linux from '../msg/linux.js';
import type { ShedCounts } from '../msg/overload.js';
import {
  checkVersion,
  isStable,
  parseToParent,
  PROTOCOL_VERSION,
  type AgentHello,
  type Hello,
  type ToAgent,
  type ToParent,
} from '../msg/protocol.js';
import type { Aborted, Refused, Shed } from '../msg/reports.js';
import type { ReturnPathAnswer, ReturnPathQuestion, SourceLost } from '../msg/source-address.js';
import { PATIENCE_S, patience } from './patience.js';
import type { Poller } from './poller.js';

/** Their answers may be hundreds of kilobytes: of each kind one at a time is asked for. */
const LONG_ANSWERS: ReadonlySet<string> = new Set<Request['type']>(['flows', 'portStats']);

/** Sent without a number, answered by nothing. */
type Notice = Extract<ToAgent, { type: 'targets' | 'returnPath' | 'quit' }>;
type Unasked =
  | Extract<ToParent, { type: 'resolve' }>
  | ReturnPathQuestion
  | SourceLost
  | Shed
  | Refused
  | Aborted;
type PortGiven = Extract<ToParent, { type: 'port' }>;
export type Reply = Exclude<ToParent, AgentHello | Unasked | PortGiven>;
/** Distributes over the union, which the built-in Omit does not. */
type Unnumbered<T> = T extends unknown ? Omit<T, 'request'> : never;
export type Request = Unnumbered<Exclude<ToAgent, Hello | Notice>>;

/** A port that an agent gives back; the receiver owns its sockets. */
export interface PortBack {
  readonly id: number;
  /** JSON, not checked yet. */
  readonly spec: string;
  readonly sockets: readonly Fd[];
  /** Of the agent that gave it; absent where that one doesn't go on. */
  readonly slot?: number;
}

interface Pending {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: SluiceError) => void;
  readonly onPort: ((port: PortBack) => void) | undefined;
  readonly patience: Disposable;
}

export interface AgentEvents {
  onGreeted(hello: AgentHello): void;
  /** The agent wants to know the DNAT targets of a port: `answer` it. */
  onResolve(id: number): void;
  /** The agent wants to know whether replies come back: `answerReturnPath`. */
  onReturnPath(question: ReturnPathQuestion): void;
  onSourceLost(lost: SourceLost): void;
  onShed(counts: ShedCounts): void;
  onRefused(refused: Refused): void;
  onAborted(aborted: Aborted): void;
  /** Called once, with the reason, unless `close` came first. */
  onClosed(reason: SluiceError): void;
}

export class AgentChannel {
  readonly #poller: Poller;
  readonly #channel: Channel;
  readonly #events: AgentEvents;
  readonly #pending = new Map<number, Pending>();
  /** By kind, the end of the last request that was made: see LONG_ANSWERS. */
  readonly #lastLong = new Map<string, Promise<unknown>>();
  /** Why only stable messages can be exchanged. */
  #foreign: SluiceError | undefined;
  #requests = 0;
  #closedBecause: SluiceError | undefined;

  constructor(poller: Poller, channel: Channel, events: AgentEvents) {
    this.#poller = poller;
    this.#channel = channel;
    this.#events = events;
    try {
      poller.add(channel.fd, linux.EPOLLIN, () => this.#onEvents());
    } catch (error) {
      this.fail(new SluiceError('ERR_AGENT_CHANNEL', messageOf(error), { cause: error }));
      return;
    }
    this.#send({ type: 'hello', version: PROTOCOL_VERSION, pid: process.pid });
  }

  get isClosed(): boolean {
    return this.#closedBecause !== undefined;
  }

  /**
   * Rejects with the agent's error, with the reason why the channel was closed, or with
   * ERR_PROTOCOL_VERSION for what an agent of another version can't be asked.
   */
  request(
    request: Request,
    fds: readonly number[] = [],
    onPort?: (port: PortBack) => void,
  ): Promise<Reply> {
    if (!LONG_ANSWERS.has(request.type)) return this.#ask(request, fds, onPort);
    const before = this.#lastLong.get(request.type) ?? Promise.resolve();
    const reply = before.then(() => this.#ask(request, fds, onPort));
    this.#lastLong.set(
      request.type,
      reply.catch(() => {}),
    );
    return reply;
  }

  #ask(
    request: Request,
    fds: readonly number[],
    onPort: ((port: PortBack) => void) | undefined,
  ): Promise<Reply> {
    if (this.#closedBecause !== undefined) return Promise.reject(this.#closedBecause);
    if (this.#foreign !== undefined && !isStable(request)) return Promise.reject(this.#foreign);
    const number = ++this.#requests;
    return new Promise((resolve, reject) => {
      const waiting = patience(PATIENCE_S, () => this.#giveUp(number, request.type));
      this.#pending.set(number, { resolve, reject, onPort, patience: waiting });
      this.#send({ ...request, request: number }, fds);
    });
  }

  /** Containers behind a port, in answer to `onResolve`. */
  answer(id: number, resolution: Resolution): void {
    if (!this.isClosed && this.#foreign === undefined) {
      this.#send({ type: 'targets', id, ...resolution });
    }
  }

  /** In answer to `onReturnPath`. */
  answerReturnPath(answer: Omit<ReturnPathAnswer, 'type'>): void {
    if (!this.isClosed) this.#send({ type: 'returnPath', ...answer });
  }

  /** Ends the agent. */
  quit(): void {
    if (!this.isClosed) this.#send({ type: 'quit' });
  }

  /** Hangs up, which an agent with a door survives. */
  close(reason: SluiceError): void {
    if (this.#closedBecause !== undefined) return;
    this.#closedBecause = reason;
    this.#poller.remove(this.#channel.fd);
    this.#channel.close();
    for (const number of this.#pending.keys()) this.#settle(number)?.reject(reason);
  }

  #onEvents(): void {
    try {
      for (const { message, fds, lostFds } of this.#channel.receive()) {
        try {
          if (this.#foreign !== undefined && !isStable(message)) continue;
          this.#onMessage(parseToParent(message), lostFds ? [] : fds);
        } finally {
          // Those that found an owner were released to it.
          for (const fd of fds) fd.close();
        }
      }
      this.#channel.flush();
      this.#watchWrites();
      if (this.#channel.ended)
        this.fail(new SluiceError('ERR_AGENT_GONE', 'the agent has hung up'));
    } catch (error) {
      this.fail(new SluiceError('ERR_AGENT_CHANNEL', messageOf(error), { cause: error }));
    }
  }

  #onMessage(message: ToParent, fds: readonly Fd[]): void {
    if (message.type === 'hello') {
      this.#foreign = versionProblem(message);
      return this.#events.onGreeted(message);
    }
    if (message.type === 'resolve') return this.#events.onResolve(message.id);
    if (message.type === 'returnPath') return this.#events.onReturnPath(message);
    if (message.type === 'sourceLost') return this.#events.onSourceLost(message);
    if (message.type === 'shed') return this.#events.onShed(message.counts);
    if (message.type === 'refused') return this.#events.onRefused(message);
    if (message.type === 'aborted') return this.#events.onAborted(message);
    if (message.type === 'port') {
      const { id, spec, request } = message;
      const sockets = fds.map((fd) => new Fd(fd.release()));
      const onPort = this.#pending.get(request)?.onPort;
      if (onPort === undefined) for (const socket of sockets) socket.close();
      else onPort({ id, spec, sockets });
      return;
    }
    const pending = this.#settle(message.request);
    if (message.type === 'failed') pending?.reject(new SluiceError(message.code, message.message));
    else pending?.resolve(message);
  }

  /** Forgets the request; undefined for an answer that nobody asked for. */
  #settle(number: number): Pending | undefined {
    const pending = this.#pending.get(number);
    this.#pending.delete(number);
    pending?.patience[Symbol.dispose]();
    return pending;
  }

  #send(message: ToAgent, fds: readonly number[] = []): void {
    try {
      this.#channel.send(message, fds);
      this.#watchWrites();
    } catch (error) {
      this.fail(new SluiceError('ERR_AGENT_CHANNEL', messageOf(error), { cause: error }));
    }
  }

  #watchWrites(): void {
    const interest = this.#channel.wantsWrite ? linux.EPOLLIN | linux.EPOLLOUT : linux.EPOLLIN;
    this.#poller.modify(this.#channel.fd, interest);
  }

  /** What has come, before somebody decides that nothing did. */
  readOnce(): void {
    if (!this.isClosed) this.#onEvents();
  }

  /** For a request that has no answer yet. Its answer may have come, unread. */
  #giveUp(number: number, asked: string): void {
    this.readOnce();
    if (!this.#pending.has(number)) return;
    const what = `the agent did not answer ${asked} within ${PATIENCE_S} s`;
    this.fail(new SluiceError('ERR_AGENT_TIMEOUT', what));
  }

  /** Gives the agent up. */
  fail(reason: SluiceError): void {
    if (this.#closedBecause !== undefined) return;
    this.close(reason);
    this.#events.onClosed(reason);
  }
}

function versionProblem(hello: AgentHello): SluiceError | undefined {
  try {
    checkVersion(hello);
    return undefined;
  } catch (error) {
    return error as SluiceError;
  }
}
