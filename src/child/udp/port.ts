/** One published UDP port: its listeners, its sessions' share, and who waits for its target. */

import type { Fd } from '../../msg/fd.js';
import type { ShedReason } from '../../msg/overload.js';
import type { ForwardedPort } from '../forwarder.js';
import type { FlowCount } from '../overload.js';
import type { Targets, Waiting } from '../targets.js';
import type { UdpForwarder } from './forwarder.js';
import { Group } from './limits.js';
import { Listener } from './listener.js';
import type { Session } from './session.js';

export class UdpPort implements ForwardedPort, FlowCount, Waiting {
  readonly id: number;
  readonly targets: Targets;
  readonly sessions: Group<Session>;
  flows = 0;
  /** Sessions that hold their datagrams until the target is known. */
  readonly waiting = new Set<Session>();
  readonly #forwarder: UdpForwarder;
  readonly #listeners: Listener[] = [];

  /** Throws, with all sockets closed, when one of them won't do. */
  constructor(forwarder: UdpForwarder, id: number, targets: Targets, sockets: readonly Fd[]) {
    this.id = id;
    this.targets = targets;
    this.#forwarder = forwarder;
    this.sessions = new Group(forwarder.limits.perPort);
    try {
      for (const socket of sockets) this.#listeners.push(new Listener(forwarder, this, socket));
    } catch (error) {
      for (const listener of this.#listeners) listener.close();
      for (const socket of sockets) socket.close();
      throw error;
    }
  }

  get queueDrops(): number {
    return this.#listeners.reduce((total, { queueDrops }) => total + queueDrops, 0);
  }

  /** The targets are known now. */
  connect(): void {
    for (const session of this.waiting) session.connect();
    this.waiting.clear();
  }

  makeRoom(reason: ShedReason): boolean {
    return this.#forwarder.evict(this.sessions, reason);
  }

  /** Ends its sessions as well: the address that they would answer from is no longer ours. */
  close(): void {
    this.#forwarder.forget(this);
    for (const listener of this.#listeners) listener.close();
  }
}
