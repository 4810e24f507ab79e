/**
 * The ChildDriver: answers the parent's requests on the control channel and lets the forwarders
 * work. Everything runs in the reactor's thread; no request takes longer than a few system calls.
 *
 * With a door the agent outlives its parent. The door is a pair of sockets whose both ends the
 * agent holds itself. A later parent takes the outer one out of the agent (pidfd_getfd(2)) and
 * sends a new channel through it. So it has no name, and the kernel decides who gets in: whoever
 * may trace the agent, which is its user outside of the child namespaces.
 */

import type { AgentPort } from '../msg/agent-port.js';
import { messageOf, SluiceError } from '../msg/errors.js';
import { Channel, type Received } from '../msg/channel.js';
import { Fd } from '../msg/fd.js';
import * as linux from '../msg/linux.js';
import type { ChildDriver } from '../msg/port.js';
import { parseToAgent, PROTOCOL_VERSION, type ToAgent, type ToParent } from '../msg/protocol.js';
import { kernelTransports } from '../msg/transports.js';
import { AgentPorts } from './ports.js';
import { Reactor, type Handler } from './reactor.js';

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
      const door = new Channel(new Fd(inheritedFd(opaque, 'door')));
      reactor.add(door.fd, linux.EPOLLIN, { onEvents: () => control.enter(door) });
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
  #greeted = false;
  #failure: unknown;

  constructor(reactor: Reactor, isLasting: boolean) {
    this.#reactor = reactor;
    this.#isLasting = isLasting;
    this.#ports = new AgentPorts(reactor, {
      resolve: (id) => this.#send({ type: 'resolve', id }),
      returnPath: (question) => this.#send({ type: 'returnPath', ...question }),
      sourceLost: (lost) => this.#send({ type: 'sourceLost', ...lost }),
      shed: (counts) => this.#send({ type: 'shed', counts }),
      refused: (id, flows, client) => this.#send({ type: 'refused', id, flows, client }),
      aborted: (id, flows, reason) => this.#send({ type: 'aborted', id, flows, reason }),
    });
  }

  /** A later parent replaces the one before it. */
  connect(channel: Channel): void {
    this.#disconnect();
    this.#channel = channel;
    this.#greeted = false;
    this.#reactor.add(channel.fd, linux.EPOLLIN, this);
    this.#send({
      type: 'hello',
      version: PROTOCOL_VERSION,
      pid: process.pid,
      transports: kernelTransports(),
    });
  }

  /** Somebody is at the door. */
  enter(door: Channel): void {
    for (const { fds } of door.receive()) {
      const [socket, ...others] = fds;
      for (const fd of others) fd.close();
      if (socket !== undefined) this.connect(new Channel(socket));
    }
  }

  onEvents(): void {
    const channel = this.#channel;
    if (channel === undefined) return;
    try {
      for (const received of channel.receive()) this.#onMessage(received);
      channel.flush();
    } catch (error) {
      this.#failure = error;
      this.#reactor.stop();
    }
    if (!channel.ended) this.#reactor.modify(channel.fd, interestIn(channel));
    else if (this.#isLasting) this.#disconnect();
    else this.#reactor.stop();
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
    this.#ports.unanswered();
  }

  #onMessage({ message: raw, fds, lostFds }: Received): void {
    try {
      const message = parseToAgent(raw);
      if (!this.#greeted && message.type !== 'hello') {
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
        this.#greeted = true;
        return;
      case 'addPort':
        return this.#reply(message.request, () => this.#addPort(message.port, fds));
      case 'removePort':
        return this.#reply(message.request, () => this.#ports.remove(message.id));
      case 'stats':
        this.#send({ type: 'stats', request: message.request, stats: this.#ports.stats() });
        return;
      case 'portStats': {
        const ports = this.#ports.portStats(message.after);
        this.#send({ type: 'portStats', request: message.request, ports });
        return;
      }
      case 'flows': {
        const flows = this.#ports.flows(message.id, message.most);
        this.#send({ type: 'flows', request: message.request, ...flows });
        return;
      }
      case 'sourcePolicy':
        return this.#reply(message.request, () => this.#ports.setSourcePolicy(message.policy));
      case 'udpTimeouts':
        return this.#reply(message.request, () => this.#ports.setUdpTimeouts(message.timeouts));
      case 'limits':
        return this.#reply(message.request, () => this.#ports.setLimits(message.limits));
      case 'takeBack':
        for (const { id, spec, fds: sockets } of this.#ports.list()) {
          const { request } = message;
          this.#send({ type: 'port', request, id, spec, fds: sockets.length }, sockets);
        }
        this.#send({ type: 'done', request: message.request });
        return;
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

  #addPort(port: AgentPort, fds: readonly Fd[] | undefined): void {
    if (fds === undefined) {
      throw new SluiceError(
        'EMFILE',
        'the agent has no file descriptor left for a listener; raise the limit of open files (ulimit -n)',
      );
    }
    this.#ports.add(
      port,
      fds.map((fd) => new Fd(fd.release())),
    );
  }

  #reply(request: number, work: () => void): void {
    try {
      work();
      this.#send({ type: 'done', request });
    } catch (error) {
      const code = error instanceof SluiceError ? error.code : 'ERR_AGENT';
      this.#send({ type: 'failed', request, code, message: messageOf(error) });
    }
  }

  /** False when there is no parent. */
  #send(message: ToParent, fds: readonly number[] = []): boolean {
    const channel = this.#channel;
    if (channel === undefined) return false;
    try {
      channel.send(message, fds);
    } catch (error) {
      if (!this.#isLasting) throw error;
      // A parent that has stopped: another one may come.
      this.#disconnect();
      return false;
    }
    // Questions are asked outside of `onEvents`, which would see to it.
    if (channel.wantsWrite) this.#reactor.modify(channel.fd, interestIn(channel));
    return true;
  }
}

function interestIn(channel: Channel): number {
  return channel.wantsWrite ? linux.EPOLLIN | linux.EPOLLOUT : linux.EPOLLIN;
}
