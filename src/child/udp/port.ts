/** One published UDP port: its listeners, its sessions' share, and who waits for its target. */

import type { Fd } from '../../msg/fd.js';
import type { ShedReason } from '../../msg/overload.js';
import type { FlowCount } from '../overload.js';
import type { PortCounters } from '../counters.js';
import type { ForwardedPort, PublishedPort } from '../forwarder.js';
import type { Targets, Waiting } from '../targets.js';
import type { UdpForwarder } from './forwarder.js';
import { Listener } from './listener.js';
import { Pool } from './pool.js';
import type { Releasing } from './releases.js';
import type { Session } from './session.js';

export class UdpPort implements ForwardedPort, FlowCount, Waiting, Releasing {
  readonly id: number;
  readonly targets: Targets;
  readonly counters: PortCounters;
  readonly sessions: Pool<Session>;
  /** Sessions that hold their datagrams until the target is known. */
  readonly waiting = new Set<Session>();
  readonly #forwarder: UdpForwarder;
  readonly #listeners: Listener[] = [];

  /** Throws, with all sockets closed, when one of them won't do. */
  constructor(forwarder: UdpForwarder, published: PublishedPort, sockets: readonly Fd[]) {
    this.id = published.id;
    this.targets = published.targets;
    this.counters = published.counters;
    this.#forwarder = forwarder;
    this.sessions = new Pool(forwarder.limits.perPort);
    try {
      for (const socket of sockets) this.#listeners.push(new Listener(forwarder, this, socket));
    } catch (error) {
      for (const listener of this.#listeners) listener.close();
      for (const socket of sockets) socket.close();
      throw error;
    }
  }

  get flows(): number {
    return this.counters.flows;
  }

  set flows(flows: number) {
    this.counters.flows = flows;
  }

  get queueDrops(): number {
    return this.#listeners.reduce((total, { queueDrops }) => total + queueDrops, 0);
  }

  /** All that there are; `sessions` counts them. */
  get open(): readonly Session[] {
    return this.#listeners.flatMap((listener) => listener.sessions);
  }

  /** The targets are known now, perhaps in the midst of a batch. */
  connect(): void {
    this.#forwarder.releases.add(this);
  }

  release(): void {
    for (const session of this.waiting) session.connect();
    this.waiting.clear();
  }

  makeRoom(reason: ShedReason): boolean {
    const { maxFlowsPerPort } = this.#forwarder.watchers.overload.limits;
    const victim = this.sessions.victim(performance.now(), maxFlowsPerPort);
    return this.#forwarder.evict(victim, reason);
  }

  /** Nothing is left: `close` ends every session. */
  abandon(): void {}

  /** Ends its sessions as well: the address that they would answer from is no longer ours. */
  close(): void {
    this.#forwarder.forget(this);
    for (const listener of this.#listeners) listener.close();
  }
}
