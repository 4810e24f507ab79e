/** All UDP ports of the agent, their sessions, and what these share. */

import type { Fd } from '../../msg/fd.js';
import { openFilesLimits } from '../../msg/open-files.js';
import type { ShedReason } from '../../msg/overload.js';
import type { TransportStats } from '../../msg/stats.js';
import { DEFAULT_UDP_TIMEOUTS, type UdpTimeouts } from '../../msg/udp-timeouts.js';
import { Deadlines } from '../deadlines.js';
import type { Watchers } from '../connections.js';
import type { ForwardedPort, Forwarder, PublishedPort } from '../forwarder.js';
import type { Reactor } from '../reactor.js';
import { SourceAddresses } from '../source.js';
import { sourceOf } from './address.js';
import { type Drops, noDrops } from './drops.js';
import { Inbox } from './inbox.js';
import { Group, limitsOf } from './limits.js';
import { Outbox } from './outbox.js';
import { UdpPort } from './port.js';
import { Releases } from './releases.js';
import type { Session } from './session.js';
import type { Silence } from './upstream.js';

/** A server that is well has answered by then; else it is asked whether replies come back. */
const SILENCE_MS = 300;

/** The sessions of one source address. */
export interface Source {
  readonly name: string;
  readonly sessions: Group<Session>;
}

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
  readonly #unreplied = new Deadlines<Session>(0, (session) => session.expire());
  readonly #replied = new Deadlines<Session>(0, (session) => session.close());
  readonly #sessions = new Group<Session>(this.limits.total);
  readonly #bySource = new Map<string, Source>();
  readonly #ports = new Set<UdpPort>();
  #accepted = 0;
  #shed = 0;

  constructor(reactor: Reactor, watchers: Watchers) {
    this.reactor = reactor;
    this.watchers = watchers;
    this.sources = new SourceAddresses({ reachesLocalServers: false }, watchers);
    watchers.overload.makeRoom = (reason) => this.evict(this.#sessions, reason);
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

  /** Makes room for a session, and returns whose it is; undefined where there is none to be had. */
  admit(port: UdpPort, key: Int32Array): Source | undefined {
    const name = sourceOf(key);
    const known = this.#bySource.get(name);
    for (const group of [known?.sessions, port.sessions, this.#sessions]) {
      if (group?.isFull === true && !this.evict(group)) return undefined;
    }
    const reason = this.watchers.overload.admit(port);
    if (reason !== undefined) {
      this.#count(port, reason);
      return undefined;
    }
    // The last session of this source may just have made room.
    return this.#bySource.get(name) ?? this.#newSource(name);
  }

  /** Gives up a session of the group, for another flow. False when all are in use. */
  evict({ victim }: Group<Session>, reason?: ShedReason): boolean {
    if (victim === undefined) return false;
    this.#count(victim.port, reason);
    victim.close();
    return true;
  }

  /** Enters a session that was admitted. */
  enter(session: Session): void {
    this.#accepted++;
    session.port.counters.accepted++;
    for (const group of this.#groupsOf(session)) group.add(session);
    this.refresh(session);
  }

  /** Something came from the client or from the server. */
  refresh(session: Session): void {
    (session.phase === 'unreplied' ? this.#unreplied : this.#replied).set(session);
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
    for (const group of this.#groupsOf(session)) group.delete(session);
    change();
    for (const group of this.#groupsOf(session)) group.add(session);
  }

  leave(session: Session): void {
    this.#unreplied.clear(session);
    this.#replied.clear(session);
    for (const group of this.#groupsOf(session)) group.delete(session);
    this.watchers.overload.left(session.port);
    if (session.source.sessions.size === 0) this.#bySource.delete(session.source.name);
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

  /** Without a reason there was no room in the table, which has its own limits. */
  #count(port: UdpPort, reason?: ShedReason): void {
    this.#shed++;
    port.counters.shed++;
    if (reason !== undefined) this.watchers.overload.shed(reason);
  }

  #newSource(name: string): Source {
    const source = { name, sessions: new Group<Session>(this.limits.perSource) };
    this.#bySource.set(name, source);
    return source;
  }

  #groupsOf(session: Session): readonly Group<Session>[] {
    return [this.#sessions, session.port.sessions, session.source.sessions];
  }
}
