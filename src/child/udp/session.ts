/**
 * One client's exchange with one server: what the client sends from one address and port to one
 * local address goes through a connected socket of its own, and what comes back there goes to the
 * client, asked for or not.
 *
 *   waiting ─► open ─► closed      waiting: the port's target is being asked for
 *
 * - It ends when nothing came from either side for a while, when it has to make room for another
 *   one, or when its port is removed; never by an error, nor for its time while it waits.
 * - Its way to the server, and which server that is, is `upstream.ts`.
 * - In each batch of the listener `push` takes its slots of the inbox, and `forward` sends them.
 */

import type { Expiring } from '../deadlines.js';
import { newFlowId, type Observable, type Observed } from '../observed.js';
import { clientOf, pktinfoOf } from './address.js';
import type { Drops } from './drops.js';
import type { UdpForwarder } from './forwarder.js';
import type { Limited, Phase } from './group.js';
import { Held } from './held.js';
import type { Listener } from './listener.js';
import { type Path, pathToClient } from './path.js';
import type { Membership } from './pool.js';
import type { UdpPort } from './port.js';
import type { Keyed } from './table.js';
import { Upstream, type UpstreamOwner } from './upstream.js';

export class Session implements UpstreamOwner, Expiring, Limited, Keyed<Session>, Observable {
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
  readonly #upstream: Upstream;
  #state: 'waiting' | 'open' | 'closed' = 'waiting';
  #held: Held | undefined;
  #firstSlot = -1;
  #lastSlot = -1;

  constructor(forwarder: UdpForwarder, port: UdpPort, listener: Listener, key: Int32Array) {
    this.#forwarder = forwarder;
    this.port = port;
    this.#listener = listener;
    this.key = key;
    const { family } = listener;
    const client = clientOf(key);
    this.#toClient = pathToClient(family, client, pktinfoOf(family, key), port.counters);
    this.#upstream = new Upstream(this, forwarder, port, client);
    forwarder.enter(this);
    if (port.waiting.size === 0 && this.#upstream.isReady()) this.#state = 'open';
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
        this.#upstream.follow();
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
    this.#upstream.isReady();
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
    const count = this.#upstream.receive();
    if (count === 0) return;
    for (let slot = 0; slot < count; slot++) inbox.next[slot] = slot + 1 < count ? slot + 1 : -1;
    if (this.phase === 'unreplied') {
      this.#advance('answered');
      this.#upstream.onFirstAnswer();
    }
    this.#forwarder.refresh(this);
    outbox.send(this.#listener.fd, this.#toClient, 0);
  }

  onReturnPath(): void {
    if (this.#state === 'open') this.#upstream.onReturnPath();
  }

  onRefused(datagrams: number): void {
    if (datagrams === 0) return;
    this.#forwarder.drop(this.port, 'refused', datagrams);
    this.port.counters.refused += datagrams;
    this.#forwarder.watchers.refusals.add(this.port.id, clientOf(this.key));
  }

  get isUnreplied(): boolean {
    return this.phase === 'unreplied';
  }

  get bytes(): number {
    return this.#upstream.bytes + this.#toClient.bytes;
  }

  observe(): Observed {
    return {
      id: this.#id,
      client: this.#toClient.name,
      server: this.#upstream.server,
      state: this.#state === 'waiting' ? 'dialling' : 'open',
      startedAt: this.#startedAt,
      activeAt: this.#forwarder.refreshedAt(this),
      bytesIn: this.#upstream.bytes,
      bytesOut: this.#toClient.bytes,
      packetsIn: this.#upstream.packets,
      packetsOut: this.#toClient.packets,
    };
  }

  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.port.waiting.delete(this);
    this.#held?.drop();
    this.#upstream.hangUp();
    this.#listener.forget(this);
    this.#forwarder.leave(this);
  }

  #send(slot: number): void {
    const failure = this.#upstream.send(slot);
    if (failure !== undefined) this.#dropAll(failure, slot);
  }

  #advance(phase: Phase): void {
    this.#forwarder.advance(this, () => {
      this.phase = phase;
    });
  }

  #dropAll(reason: keyof Drops, first: number): void {
    const { inbox } = this.#forwarder;
    for (let slot = first; slot >= 0; slot = inbox.next[slot] as number) {
      this.#forwarder.dropSlot(this.port, reason, slot);
    }
  }
}
