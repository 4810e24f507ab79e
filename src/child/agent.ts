/**
 * The ChildDriver: answers the parent's requests on the control channel and lets the forwarders
 * work. Everything runs in the reactor's thread; no request takes longer than a few system calls.
 *
 * With a door the agent outlives its parent. The door is a pair of sockets whose both ends the
 * agent holds itself. A later parent takes the outer one out of the agent (pidfd_getfd(2)) and
 * sends a new channel through it. So it has no name, and the kernel decides who gets in: whoever
 * may trace the agent, which is its user outside of the child namespaces.
 *
 * No parent can end an agent with a door, except by asking for it:
 * - A parent that doesn't read is not read either: one answer waits for it at most, the ports of
 *   `takeBack` one after the other. What the agent tells without being asked is dropped then.
 * - A parent that sends what can't be trusted is let go, with a line on stderr.
 * - A parent of another version is sent, and is heard of, stable messages only.
 */

import type { AgentPort } from '../msg/agent-port.js';
import { Channel, type Received } from '../msg/channel.js';
import { messageOf, SluiceError } from '../msg/errors.js';
import { Fd, must } from '../msg/fd.js';
import { MAX_TEXT_LENGTH } from '../msg/fields.js';
import * as linux from '../msg/linux.js';
import type { ChildDriver } from '../msg/port.js';
import {
  isStable,
  parseToAgent,
  PROTOCOL_VERSION,
  type ToAgent,
  type ToParent,
} from '../msg/protocol.js';
import { kernelTransports } from '../msg/transports.js';
import { letIn } from './door.js';
import { AgentPorts } from './ports.js';
import { Reactor, type Handler } from './reactor.js';
import { tell } from './tell.js';

/** With more than this unread, a parent is told nothing more without being asked. */
const MAX_UNREAD_BYTES = 1 << 20;

export class Agent implements ChildDriver {
  /**
   * `opaque` has the numbers of inherited fds: `fd`, the control socket; and, if the agent is to
   * outlive its parent, `door`, the inner end of the door, and `life`, a pidfd of the process that
   * stands for the namespaces. Returns when the parent wants it, or hung up on an agent without a
   * door, or when the namespaces have ended, or the last flow of an agent that drains.
   */
  runChildDriver(opaque: Readonly<Record<string, string>>): void {
    const fd = inheritedFd(opaque, 'fd');
    const reactor = new Reactor();
    const hasDoor = opaque['door'] !== undefined;
    using control = new Control(reactor, hasDoor);
    if (hasDoor) {
      const door = inheritedFd(opaque, 'door');
      reactor.add(door, linux.EPOLLIN, {
        onEvents: () => letIn(door, (channel) => control.connect(channel)),
      });
      const stop = { onEvents: () => reactor.stop() };
      reactor.add(inheritedFd(opaque, 'life'), linux.EPOLLIN, stop);
    }
    control.connect(new Channel(new Fd(fd)));
    reactor.urgent = control;
    reactor.run();
    control.rethrow();
  }
}

function inheritedFd(opaque: Readonly<Record<string, string>>, key: string): number {
  const fd = Number(opaque[key]);
  if (Number.isSafeInteger(fd) && fd >= 3) return fd;
  const what = key === 'fd' ? 'no control socket' : 'no socket or process';
  throw new SluiceError('ERR_OPAQUE', `${what}: ${key} is ${opaque[key]}, expected 3 or more`);
}

class Control implements Handler, Disposable {
  readonly #reactor: Reactor;
  readonly #ports: AgentPorts;
  /** Goes on without a parent. */
  readonly #isLasting: boolean;
  #channel: Channel | undefined;
  /** The parent's; undefined before its hello. */
  #version: number | undefined;
  /** The rest of an answer that is too long to be sent at once. */
  #rest: Iterator<void> | undefined;
  #failure: unknown;

  constructor(reactor: Reactor, isLasting: boolean) {
    this.#reactor = reactor;
    this.#isLasting = isLasting;
    this.#ports = new AgentPorts(reactor, {
      resolve: (id) => this.#report({ type: 'resolve', id }),
      returnPath: (question) => this.#report({ type: 'returnPath', ...question }),
      sourceLost: (lost) => this.#report({ type: 'sourceLost', ...lost }),
      shed: (counts) => this.#report({ type: 'shed', counts }),
      refused: (id, flows, client) => this.#report({ type: 'refused', id, flows, client }),
      aborted: (id, flows, reason) => this.#report({ type: 'aborted', id, flows, reason }),
    });
  }

  /** A later parent replaces the one before it. */
  connect(channel: Channel): void {
    this.#disconnect();
    const watched = this.#reactor.add(channel.fd, linux.EPOLLIN, this);
    if (watched < 0) channel.close();
    must(watched, 'epoll_ctl');
    this.#channel = channel;
    this.#send({
      type: 'hello',
      version: PROTOCOL_VERSION,
      pid: process.pid,
      transports: kernelTransports(),
    });
  }

  onEvents(): void {
    const channel = this.#channel;
    if (channel === undefined) return;
    try {
      channel.flush();
      this.#goOn(channel);
      if (!this.#isBusy(channel)) {
        for (const received of channel.receive()) {
          this.#onMessage(received);
          if (this.#channel !== channel) return;
          if (this.#isBusy(channel)) break;
        }
      }
    } catch (error) {
      return this.#giveUp(error);
    }
    if (!channel.ended) this.#reactor.modify(channel.fd, interestIn(channel));
    else if (this.#isLasting) this.#disconnect();
    else this.#reactor.stop();
  }

  /** An answer waits for the parent to read. */
  #isBusy(channel: Channel): boolean {
    return channel.wantsWrite || this.#rest !== undefined;
  }

  /** Sends more of a long answer, as much as the parent takes. */
  #goOn(channel: Channel): void {
    while (this.#rest !== undefined && !channel.wantsWrite) {
      if (this.#rest.next().done === true) this.#rest = undefined;
    }
  }

  /** The channel can't be used any more. */
  #giveUp(error: unknown): void {
    if (this.#isLasting) {
      tell(`gives up its parent: ${messageOf(error)}`);
      this.#disconnect();
    } else {
      this.#failure ??= error;
      this.#reactor.stop();
    }
  }

  /** Why the channel was given up, if it wasn't the parent's wish. */
  rethrow(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  [Symbol.dispose](): void {
    this.#channel?.close();
  }

  #disconnect(): void {
    if (this.#channel === undefined) return;
    this.#reactor.remove(this.#channel.fd);
    this.#channel.close();
    this.#channel = undefined;
    this.#version = undefined;
    this.#rest = undefined;
    this.#ports.unanswered();
  }

  #onMessage({ message: raw, fds, lostFds }: Received): void {
    try {
      if (!isStable(raw) && this.#version !== undefined && this.#version !== PROTOCOL_VERSION)
        return;
      const message = parseToAgent(raw);
      if (this.#version === undefined && message.type !== 'hello') {
        throw new SluiceError('ERR_MESSAGE', `${message.type} came before hello`);
      }
      this.#answer(message, lostFds ? undefined : fds);
    } finally {
      // Those that found an owner were released to it.
      for (const fd of fds) fd.close();
    }
  }

  #answer(message: ToAgent, fds: readonly Fd[] | undefined): void {
    switch (message.type) {
      case 'hello':
        this.#version = message.version;
        return;
      case 'addPort':
        return this.#reply(message.request, () => this.#addPort(message.port, fds));
      case 'removePort':
        return this.#reply(message.request, () => this.#ports.remove(message.id));
      case 'stats':
        return this.#reply(message.request, (request) => ({
          type: 'stats',
          request,
          stats: this.#ports.stats(),
        }));
      case 'portStats':
        return this.#reply(message.request, (request) => ({
          type: 'portStats',
          request,
          ports: this.#ports.portStats(message.after),
        }));
      case 'flows':
        return this.#reply(message.request, (request) => ({
          type: 'flows',
          request,
          ...this.#ports.flows(message.id, message.most),
        }));
      case 'sourcePolicy':
        return this.#reply(message.request, () => this.#ports.setSourcePolicy(message.policy));
      case 'udpTimeouts':
        return this.#reply(message.request, () => this.#ports.setUdpTimeouts(message.timeouts));
      case 'limits':
        return this.#reply(message.request, () => this.#ports.setLimits(message.limits));
      case 'takeBack':
        this.#rest = this.#portsBack(message.request);
        return this.#goOn(this.#channel as Channel);
      case 'drain':
        return this.#reply(message.request, () =>
          this.#ports.drain(message.limitMs, () => this.#reactor.stop()),
        );
      case 'quit':
        return this.#reactor.stop();
      case 'targets':
        return this.#ports.answered(message.id, message);
      case 'returnPath':
        return this.#ports.onReturnPath(message);
      default:
        message satisfies never;
    }
  }

  *#portsBack(request: number): Generator<void, void> {
    for (const { id, spec, fds } of this.#ports.list()) {
      this.#send({ type: 'port', request, id, spec, fds: fds.length }, fds);
      yield;
    }
    this.#send({ type: 'done', request });
  }

  #addPort(port: AgentPort, fds: readonly Fd[] | undefined): void {
    if (fds === undefined) {
      throw new SluiceError(
        'EMFILE',
        'the agent has no file descriptor left for a listener; raise the limit of open files (ulimit -n)',
      );
    }
    const sockets = fds.map((fd) => new Fd(fd.release()));
    this.#ports.add(port, sockets);
  }

  /** With what `work` returns, or else by `done`. */
  #reply(request: number, work: (request: number) => ToParent | void): void {
    let answer: ToParent;
    try {
      answer = work(request) ?? { type: 'done', request };
    } catch (error) {
      const code = error instanceof SluiceError ? error.code : 'ERR_AGENT';
      const message = messageOf(error).slice(0, MAX_TEXT_LENGTH);
      answer = { type: 'failed', request, code, message };
    }
    this.#send(answer);
  }

  /** Without being asked. False when nobody is there to listen. */
  #report(message: ToParent): boolean {
    const unread = this.#channel?.queuedBytes ?? Infinity;
    const isHeard = this.#version === PROTOCOL_VERSION && unread < MAX_UNREAD_BYTES;
    return isHeard && this.#send(message);
  }

  /** False when there is no parent, or no longer. */
  #send(message: ToParent, fds: readonly number[] = []): boolean {
    const channel = this.#channel;
    if (channel === undefined) return false;
    try {
      channel.send(message, fds);
    } catch (error) {
      this.#giveUp(error);
      return false;
    }
    // Questions are asked outside of `onEvents`, which would see to it.
    if (channel.wantsWrite) this.#reactor.modify(channel.fd, interestIn(channel));
    return true;
  }
}

function interestIn(channel: Channel): number {
  return channel.wantsWrite ? linux.EPOLLOUT : linux.EPOLLIN;
}
