/**
 * The ChildDriver: answers the parent's requests on the control channel and lets the forwarders
 * work. Everything runs in the reactor's thread; no request takes longer than a few system calls.
 */

import { messageOf, SluiceError } from '../msg/errors.js';
import { Channel, type Received } from '../msg/channel.js';
import { Fd } from '../msg/fd.js';
import * as linux from '../msg/linux.js';
import type { ChildDriver } from '../msg/port.js';
import {
  parseToAgent,
  PROTOCOL_VERSION,
  type AgentPort,
  type ToAgent,
  type ToParent,
} from '../msg/protocol.js';
import { kernelTransports } from '../msg/transports.js';
import { Overload } from './overload.js';
import { AgentPorts } from './ports.js';
import { Reactor, type Handler } from './reactor.js';

export class Agent implements ChildDriver {
  /** `opaque.fd` is the number of the inherited control socket. Returns when the parent hung up. */
  runChildDriver(opaque: Readonly<Record<string, string>>): void {
    const fd = Number(opaque['fd']);
    if (!Number.isSafeInteger(fd) || fd < 3) {
      throw new SluiceError(
        'ERR_OPAQUE',
        `no control socket: fd is ${opaque['fd']}, expected 3 or more`,
      );
    }
    const reactor = new Reactor();
    using control = new Control(reactor, new Channel(new Fd(fd)));
    control.start();
    reactor.run();
    control.rethrow();
  }
}

class Control implements Handler, Disposable {
  readonly #reactor: Reactor;
  readonly #channel: Channel;
  readonly #ports: AgentPorts;
  #greeted = false;
  #failure: unknown;

  constructor(reactor: Reactor, channel: Channel) {
    this.#reactor = reactor;
    this.#channel = channel;
    const overload = new Overload((counts) => this.#send({ type: 'shed', counts }));
    this.#ports = new AgentPorts(reactor, overload, (id) => this.#send({ type: 'resolve', id }));
  }

  start(): void {
    this.#reactor.add(this.#channel.fd, linux.EPOLLIN, this);
    this.#send({
      type: 'hello',
      version: PROTOCOL_VERSION,
      pid: process.pid,
      transports: kernelTransports(),
    });
  }

  onEvents(): void {
    try {
      for (const received of this.#channel.receive()) this.#onMessage(received);
      this.#channel.flush();
      if (this.#channel.ended) this.#reactor.stop();
    } catch (error) {
      this.#failure = error;
      this.#reactor.stop();
    }
    this.#reactor.modify(this.#channel.fd, this.#interest());
  }

  /** Why the channel was given up, if it wasn't the parent's wish. */
  rethrow(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  [Symbol.dispose](): void {
    this.#channel.close();
  }

  #interest(): number {
    return this.#channel.wantsWrite ? linux.EPOLLIN | linux.EPOLLOUT : linux.EPOLLIN;
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
        return this.#send({ type: 'stats', request: message.request, stats: this.#ports.stats() });
      case 'sourceFamilies':
        return this.#reply(message.request, () => this.#ports.setSourceFamilies(message.families));
      case 'udpTimeouts':
        return this.#reply(message.request, () => this.#ports.setUdpTimeouts(message.timeouts));
      case 'limits':
        return this.#reply(message.request, () => this.#ports.setLimits(message.limits));
      case 'targets':
        return this.#ports.answered(message.id, message);
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

  #send(message: ToParent): void {
    this.#channel.send(message);
    // Questions are asked outside of `onEvents`, which would see to it.
    if (this.#channel.wantsWrite) this.#reactor.modify(this.#channel.fd, this.#interest());
  }
}
