/** All UDP ports of the agent, their sessions, and what these share. */

import type { Fd } from '../../msg/fd.js';
import { openFilesLimits } from '../../msg/open-files.js';
import type { ShedReason } from '../../msg/overload.js';
import type { TransportStats } from '../../msg/stats.js';
import { DEFAULT_UDP_TIMEOUTS, type UdpTimeouts } from '../../msg/udp-timeouts.js';
import { Deadlines, wrappedMs } from '../deadlines.js';
import type { Watchers } from '../connections.js';
import type { ForwardedPort, Forwarder, PublishedPort } from '../forwarder.js';
import type { Reactor } from '../reactor.js';
import { SourceAddresses } from '../source.js';
import { sourceOf } from './address.js';
import { type Drops, noDrops } from './drops.js';
import { Inbox } from './inbox.js';
import { limitsOf, ORDER_MS } from './limits.js';
import { Outbox } from './outbox.js';
import { Pool } from './pool.js';
import { UdpPort } from './port.js';
import { Releases } from './releases.js';
import type { Session } from './session.js';
import type { Silence } from './upstream.js';

/** A server that is well has answered by then; else it is asked whether replies come back. */
const SILENCE_MS = 300;

/** The session is in no clock: it is new, its phase has changed, or its time is up. */
const NEVER = -ORDER_MS;

export class UdpForwarder implements Forwarder {
  readonly reactor: Reactor;
  readonly watchers: Watchers;
  readonly sources: SourceAddresses;
  readonly drops: Drops = noDrops();
  readonly inbox = new Inbox();
  readonly outbox = new Outbox(this.inbox, this.drops);
  readonly releases = new Releases();
  limits = limitsOf(openFilesLimits().soft);
  /** Sessions that bear a client's address and wait for a first answer. */
  readonly silent = new Deadlines<Silence>(SILENCE_MS, ({ upstream }) => upstream.onSilence());
  /** Bytes that sessions hold until their target is known. */
  heldBytes = 0;
  readonly #unreplied = new Deadlines<Session>(0, (session) => {
    session.activeAt = NEVER;
    session.expire();
  });
  readonly #replied = new Deadlines<Session>(0, (session) => session.close());
  readonly #sessions = new Pool<Session>(this.limits.total);
  readonly #ports = new Set<UdpPort>();
  #accepted = 0;
  #shed = 0;

  constructor(reactor: Reactor, watchers: Watchers) {
    this.reactor = reactor;
    this.watchers = watchers;
    this.sources = new SourceAddresses({ reachesLocalServers: false }, watchers);
    watchers.overload.makeRoom = (reason) => {
      const { maxFlows } = watchers.overload.limits;
      return this.evict(this.#sessions.victim(performance.now(), maxFlows), reason);
    };
    this.setTimeouts(DEFAULT_UDP_TIMEOUTS);
    reactor.addClock(this.#unreplied);
    reactor.addClock(this.#replied);
    reactor.addClock(this.silent);
    reactor.addClock(this.releases);
  }

  /** For sessions that are refreshed from now on. */
  setTimeouts({ unrepliedMs, repliedMs }: UdpTimeouts): void {
    this.#unreplied.delayMs = unrepliedMs;
    this.#replied.delayMs = repliedMs;
  }

  addPort(published: PublishedPort, sockets: readonly Fd[]): ForwardedPort {
    // The limit of open files may be another one by now: prlimit(1).
    this.limits = limitsOf(openFilesLimits().soft);
    this.#sessions.limit = this.limits.total;
    const port = new UdpPort(this, published, sockets);
    this.#ports.add(port);
    return port;
  }

  forget(port: UdpPort): void {
    this.#ports.delete(port);
  }

  /** Makes room for a session; false when there is none to be had. */
  admit(port: UdpPort, key: Int32Array): boolean {
    const reason = this.#makeRoom(port, sourceOf(key)) ?? this.watchers.overload.admit(port);
    if (reason === undefined) return true;
    this.#count(port);
    this.watchers.overload.shed(reason);
    return false;
  }

  /** Gives up the session for another flow, if there is one. */
  evict(victim: Session | undefined, reason: ShedReason): boolean {
    if (victim === undefined) return false;
    this.#count(victim.port);
    // Nothing is lost with a finished exchange, unless for a limit that somebody has set.
    const isLoss = victim.phase !== 'answered' || reason !== 'sessions';
    if (isLoss) this.watchers.overload.shed(reason);
    victim.close();
    return true;
  }

  /** Enters a session that was admitted. */
  enter(session: Session): void {
    this.#accepted++;
    session.port.counters.accepted++;
    const client = sourceOf(session.key);
    const pools = [this.#sessions, session.port.sessions];
    session.activeAt = NEVER;
    session.memberships = pools.map((pool) => pool.add(session, client));
    this.refresh(session);
  }

  /**
   * Something came from the client or from the server. A session gets another place in line once in
   * ORDER_MS at most: a Set keeps the places that an entry had before, one behind the other, and with
   * 10,000 sessions each datagram of a single client took more than 30 µs for that.
   */
  refresh(session: Session): void {
    const isUnreplied = session.phase === 'unreplied';
    const clock = isUnreplied ? this.#unreplied : this.#replied;
    const now = Math.ceil(performance.now());
    session.deadline = wrappedMs(now + clock.delayMs);
    if (now - session.activeAt < ORDER_MS) return;
    session.activeAt = now;
    clock.set(session);
    // The oldest unreplied session goes first, however often its client repeats itself.
    if (!isUnreplied) this.#requeue(session);
  }

  /** When `refresh` was called last: wrong if the timeouts have changed since. */
  refreshedAt(session: Session): number {
    return (session.phase === 'unreplied' ? this.#unreplied : this.#replied).setAt(session);
  }

  flowsOf(id: number): readonly Session[] {
    return [...this.#ports].find((port) => port.id === id)?.open ?? [];
  }

  /** Takes a session through a change of its phase. */
  advance(session: Session, change: () => void): void {
    this.#unreplied.clear(session);
    this.#requeue(session, change);
    session.activeAt = NEVER;
    this.refresh(session);
  }

  leave(session: Session): void {
    this.#unreplied.clear(session);
    this.#replied.clear(session);
    const [inAll, inPort] = session.memberships;
    if (inAll !== undefined) this.#sessions.delete(inAll);
    if (inPort !== undefined) session.port.sessions.delete(inPort);
    this.watchers.overload.left(session.port);
  }

  drop(port: UdpPort, reason: keyof Drops, datagrams: number): void {
    this.drops[reason] += datagrams;
    if (datagrams > 0) port.counters.drop(reason, datagrams);
  }

  /** Counts what is in a slot of the inbox as dropped. */
  dropSlot(port: UdpPort, reason: keyof Drops, slot: number): void {
    this.drop(port, reason, this.inbox.countOf(slot));
  }

  stats(): TransportStats {
    const { kept: sourceKept, lost: sourceLost, refused: sourceRefused } = this.sources;
    const waiting = [...this.#ports].reduce((total, port) => total + port.queueDrops, 0);
    return {
      flows: this.#sessions.size,
      accepted: this.#accepted,
      refused: this.drops.refused,
      shed: this.#shed,
      sourceKept,
      sourceLost,
      sourceRefused,
      drops: { ...this.drops, queueFull: this.drops.queueFull + waiting },
    };
  }

  /** Returns why there is no room. */
  #makeRoom(port: UdpPort, client: string): ShedReason | undefined {
    const now = performance.now();
    const [all, reason] = [this.#sessions, 'sessions'] as const;
    if (
      all.sizeOf(client) >= this.limits.perSource &&
      !this.evict(all.victimOf(client, now), reason)
    )
      return reason;
    for (const pool of [port.sessions, all]) {
      if (pool.isFull && !this.evict(pool.victim(now), reason)) return reason;
    }
    return undefined;
  }

  #count(port: UdpPort): void {
    this.#shed++;
    port.counters.shed++;
  }

  /** To the ends of the lines of its phase, which `change` may be about. */
  #requeue(session: Session, change?: () => void): void {
    for (const membership of session.memberships) membership.leave();
    change?.();
    for (const membership of session.memberships) membership.enter();
  }
}
