/**
 * One client's exchange with one server: what the client sends from one address and port to one
 * local address goes through a connected socket of its own, and what comes back there goes to the
 * client, asked for or not.
 *
 *   waiting ─► open ─► closed      waiting: the port's target is being asked for
 *
 * - It ends when nothing came from either side for a while, when it has to make room for another
 *   one, or when its port is removed; never by an error, nor for its time while it waits.
 * - A server that refuses the first datagrams is left for the next one in the port's list, and they
 *   are sent again; a server that has answered once is kept, as it may be restarting, until the
 *   port leads elsewhere. That is asked about while a client speaks and its server says nothing.
 * - In each batch of the listener `push` takes its slots of the inbox, and `forward` sends them.
 */

import * as libc from '../../msg/libc.js';
import * as linux from '../../msg/linux.js';
import type { Expiring } from '../deadlines.js';
import { Dialling } from '../dialling.js';
import { newFlowId, type Observable, type Observed } from '../observed.js';
import type { Handler } from '../reactor.js';
import { clientOf, pktinfoOf } from './address.js';
import type { Drops } from './drops.js';
import type { UdpForwarder } from './forwarder.js';
import type { Limited, Phase } from './group.js';
import { Held } from './held.js';
import { IPV4, IPV6 } from './layout.js';
import type { Listener } from './listener.js';
import { type Path, pathToClient, pathToServer } from './path.js';
import type { Membership } from './pool.js';
import type { UdpPort } from './port.js';
import { connectTo, giveUpAddress, queueDrops, wasRefused } from './sockets.js';
import type { Keyed } from './table.js';

/** While every server refuses, all of them are tried anew no more often than this. */
const REDIAL_PAUSE_MS = 1000;
/** Longer than a server that is well takes to answer. */
const SILENCE_MS = 2000;

export class Session implements Handler, Expiring, Limited, Keyed<Session>, Observable {
  deadline = 0;
  activeAt = 0;
  nextOfHash: Session | undefined;
  phase: Phase = 'unreplied';
  memberships: readonly Membership<Session>[] = [];
  readonly key: Int32Array;
  readonly port: UdpPort;
  readonly #id = newFlowId();
  readonly #startedAt = performance.now();
  readonly #forwarder: UdpForwarder;
  readonly #listener: Listener;
  readonly #toClient: Path;
  #toServer: Path | undefined;
  #dialling: Dialling;
  #redialAt = 0;
  /** When the server has last said something, or could have for the first time. */
  #heardAt = this.#startedAt;
  /** Of the targets, when the server was last found among them. */
  #generation = -1;
  #state: 'waiting' | 'open' | 'closed' = 'waiting';
  #held: Held | undefined;
  #fd = -1;
  #firstSlot = -1;
  #lastSlot = -1;

  constructor(forwarder: UdpForwarder, port: UdpPort, listener: Listener, key: Int32Array) {
    this.#forwarder = forwarder;
    this.port = port;
    this.#listener = listener;
    this.key = key;
    const { family } = listener;
    this.#toClient = pathToClient(family, clientOf(key), pktinfoOf(family, key), port.counters);
    this.#dialling = this.#newDialling();
    forwarder.enter(this);
    if (port.waiting.size === 0 && this.#dialling.isReady(port)) this.#state = 'open';
    else port.waiting.add(this);
  }

  /** Takes a slot of the inbox. True for the first one in a batch: `forward` must follow. */
  push(slot: number): boolean {
    const { next } = this.#forwarder.inbox;
    const isFirst = this.#firstSlot < 0;
    if (isFirst) this.#firstSlot = slot;
    else next[this.#lastSlot] = slot;
    next[slot] = -1;
    this.#lastSlot = slot;
    return isFirst;
  }

  /** Sends what `push` took on to the server. */
  forward(): void {
    const slot = this.#firstSlot;
    this.#firstSlot = -1;
    switch (this.#state) {
      case 'open':
        this.#forwarder.refresh(this);
        if (this.phase === 'answered') this.#advance('established');
        this.#follow();
        this.#send(slot);
        break;
      case 'waiting':
        this.#held ??= new Held(this.#forwarder, this.port);
        this.#held.take(slot);
        break;
      case 'closed':
        this.#dropAll('tableFull', slot);
        break;
      default:
        this.#state satisfies never;
    }
  }

  /** The port's targets are known now. Not during a batch: the inbox is written to. */
  connect(): void {
    this.#state = 'open';
    this.#dialling.isReady(this.port);
    this.#forwarder.refresh(this);
    const slot = this.#held?.release() ?? -1;
    this.#held = undefined;
    if (slot >= 0) this.#send(slot);
  }

  /** No answer has come in time, which begins once there was something to answer. */
  expire(): void {
    if (this.#state === 'waiting') this.#forwarder.refresh(this);
    else this.close();
  }

  /** Something came from the server, or an error. */
  onEvents(): void {
    const { inbox, outbox } = this.#forwarder;
    const count = inbox.receive(this.#fd);
    if (count === linux.EAGAIN) return;
    if (count < 0) return this.#onRefused();
    this.#heardAt = performance.now();
    for (let slot = 0; slot < count; slot++) inbox.next[slot] = slot + 1 < count ? slot + 1 : -1;
    if (this.phase === 'unreplied') this.#advance('answered');
    this.#forwarder.refresh(this);
    outbox.send(this.#listener.fd, this.#toClient, 0);
  }

  get bytes(): number {
    return (this.#toServer?.bytes ?? 0) + this.#toClient.bytes;
  }

  observe(): Observed {
    return {
      id: this.#id,
      client: this.#toClient.name,
      server: this.#dialling.server,
      state: this.#state === 'waiting' ? 'dialling' : 'open',
      startedAt: this.#startedAt,
      activeAt: this.#forwarder.refreshedAt(this),
      bytesIn: this.#toServer?.bytes ?? 0,
      bytesOut: this.#toClient.bytes,
      packetsIn: this.#toServer?.packets ?? 0,
      packetsOut: this.#toClient.packets,
    };
  }

  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.port.waiting.delete(this);
    this.#held?.drop();
    this.#hangUp();
    this.#listener.forget(this);
    this.#forwarder.leave(this);
  }

  /** Leaves a server that the port doesn't lead to any more. */
  #follow(): void {
    const { targets } = this.port;
    const { server } = this.#dialling;
    const now = performance.now();
    targets.goesOn(now);
    if (server !== undefined && now - this.#heardAt > SILENCE_MS) targets.silent(server);
    if (this.#generation === targets.generation) return;
    this.#generation = targets.generation;
    if (server !== undefined && targets.has(server)) return;
    this.#hangUp();
    this.#heardAt = now;
    this.#dialling = this.#newDialling();
    this.#dialling.isReady(this.port);
  }

  #send(slot: number): void {
    const failure = this.#fd < 0 ? this.#dial() : undefined;
    if (failure !== undefined) return this.#dropAll(failure, slot);
    for (;;) {
      const refused = this.#forwarder.outbox.send(this.#fd, this.#toServer as Path, slot);
      this.#countRefused(refused);
      if (this.phase !== 'unreplied' || !this.#dialling.hasMore) return;
      if (refused === 0 && !wasRefused(this.#fd)) return;
      this.#hangUp();
      this.#dialling.refused();
      if (this.#dial() !== undefined) return;
    }
  }

  /** Connects to the server whose turn it is. Returns why that can't be done. */
  #dial(): keyof Drops | undefined {
    const fd = this.#dialling.next();
    if (fd === undefined) {
      this.#startOver();
      return 'unreachable';
    }
    if (fd < 0) return 'noDescriptor';
    if (this.#forwarder.reactor.add(fd, linux.EPOLLIN, this) < 0) {
      libc.close(fd);
      return 'noDescriptor';
    }
    if (this.#toServer === undefined) this.#dialling.connected();
    this.#fd = fd;
    const { server } = this.#dialling;
    this.port.targets.reached(server);
    const family = server?.[0] === linux.AF_INET ? IPV4 : IPV6;
    this.#toServer = pathToServer(family, this.port.counters, this.#toServer);
    return undefined;
  }

  /** An ICMP error came in between. What is sent next goes elsewhere, if there is an elsewhere. */
  #onRefused(): void {
    this.#countRefused(1);
    if (this.phase !== 'unreplied') {
      // It may have moved.
      this.port.targets.failed(this.#dialling.server);
      this.#heardAt = -Infinity;
      return;
    }
    if (this.#dialling.hasMore) {
      this.#hangUp();
      this.#dialling.refused();
    } else if (performance.now() >= this.#redialAt) {
      this.#hangUp();
      this.#dialling.refused();
      this.#startOver();
    }
  }

  #countRefused(datagrams: number): void {
    if (datagrams === 0) return;
    this.#forwarder.drop(this.port, 'refused', datagrams);
    this.port.counters.refused += datagrams;
    this.#forwarder.watchers.refusals.add(this.port.id, clientOf(this.key));
  }

  /** With the first of the servers, as they are known then. */
  #startOver(): void {
    this.#redialAt = performance.now() + REDIAL_PAUSE_MS;
    this.#dialling = this.#newDialling();
    this.#dialling.isReady(this.port);
  }

  #newDialling(): Dialling {
    const { sources } = this.#forwarder;
    return new Dialling(connectTo, sources, this.port.targets, clientOf(this.key));
  }

  #advance(phase: Phase): void {
    this.#forwarder.advance(this, () => {
      this.phase = phase;
    });
  }

  #hangUp(): void {
    if (this.#fd < 0) return;
    this.#forwarder.drop(this.port, 'queueFull', queueDrops(this.#fd));
    giveUpAddress(this.#fd);
    this.#forwarder.reactor.close(this.#fd);
    this.#fd = -1;
  }

  #dropAll(reason: keyof Drops, first: number): void {
    const { inbox } = this.#forwarder;
    for (let slot = first; slot >= 0; slot = inbox.next[slot] as number) {
      this.#forwarder.dropSlot(this.port, reason, slot);
    }
  }
}
