/** UDP sessions that clients open and use as they like, against a plain model of the limits. */
import * as fc from 'fast-check';
import type { Phase } from '../../src/child/udp/group.js';
import { CLIENT_SHARE, FLOOR_MS, RESERVE_SHARE } from '../../src/child/udp/limits.js';
import { type Membership, Pool } from '../../src/child/udp/pool.js';
import { must, targetOf } from './target.js';

interface Session {
  phase: Phase;
  activeAt: number;
  readonly client: string;
  membership?: Membership<Session>;
}

const LIMIT = 16;
const NEXT: Readonly<Record<Phase, Phase>> = {
  unreplied: 'answered',
  answered: 'established',
  established: 'established',
};

/** Time passes, then a client opens a session, or one of those that exist moves on or ends. */
const step = fc.record({
  pauseMs: fc.oneof(fc.constant(1), fc.nat(FLOOR_MS)),
  what: fc.constantFrom('open', 'open', 'use', 'use', 'end'),
  which: fc.nat(40),
});

/** The first of those, which are in the order of their last activity. */
function firstOf(
  sessions: readonly Session[],
  phase: Phase,
  since = Infinity,
): Session | undefined {
  return sessions.find((one) => one.phase === phase && one.activeAt <= since);
}

function expected(
  sessions: readonly Session[],
  now: number,
  limit: number,
  isOwn = false,
): Session | undefined {
  const count = (phase: Phase) => sessions.filter((one) => one.phase === phase).length;
  const young = count('unreplied') + count('answered');
  const since = now - FLOOR_MS;
  if (2 * count('unreplied') > sessions.length) return firstOf(sessions, 'unreplied');
  const finished = firstOf(sessions, 'answered', since);
  if (finished !== undefined) return finished;
  if (young <= Math.floor(limit / RESERVE_SHARE)) {
    const silent = firstOf(sessions, 'established', isOwn ? Infinity : since);
    if (silent !== undefined) return silent;
    if (!isOwn && largest(sessions) > Math.max(1, limit / CLIENT_SHARE)) return undefined;
  }
  return firstOf(sessions, 'answered') ?? firstOf(sessions, 'unreplied');
}

function of(sessions: readonly Session[], client: string): Session[] {
  return sessions.filter((one) => one.client === client);
}

function largest(sessions: readonly Session[]): number {
  return Math.max(0, ...sessions.map(({ client }) => of(sessions, client).length));
}

/** In use, of one of the clients that have the most: any of these will do. */
function isOfLargest(sessions: readonly Session[], victim: Session, now: number): boolean {
  const own = of(sessions, victim.client);
  return own.length === largest(sessions) && victim === expected(own, now, own.length, true);
}

function checkVictim(pool: Pool<Session>, sessions: readonly Session[], now: number): void {
  const victim = pool.victim(now);
  const model = expected(sessions, now, LIMIT);
  const isRight =
    victim === model ||
    (model === undefined && victim !== undefined && isOfLargest(sessions, victim, now));
  must(isRight, `the pool gives up ${JSON.stringify(victim)}, not ${JSON.stringify(model)}`);
  if (sessions.length === LIMIT && victim === undefined)
    must(largest(sessions) <= LIMIT / CLIENT_SHARE, 'a client fills the pool');
  for (const { client } of sessions) {
    const own = of(sessions, client);
    must(pool.sizeOf(client) === own.length, `the share of client ${client}`);
    const ownVictim = expected(own, now, own.length, true);
    must(pool.victimOf(client, now) === ownVictim, `what client ${client} gives up for itself`);
  }
}

export const sessions = targetOf('sessions', fc.array(step, { maxLength: 80 }), (steps) => {
  const pool = new Pool<Session>(LIMIT);
  let all: Session[] = [];
  let now = 0;
  const end = (session: Session) => {
    pool.delete(session.membership as Membership<Session>);
    all = all.filter((one) => one !== session);
  };
  for (const { pauseMs, what, which } of steps) {
    now += pauseMs;
    if (what === 'open') {
      const victim = pool.isFull ? pool.victim(now) : undefined;
      if (victim !== undefined) end(victim);
      if (pool.isFull) continue;
      const client = String(which % 11);
      const session: Session = { phase: 'unreplied', activeAt: now, client };
      session.membership = pool.add(session, client);
      all.push(session);
    } else {
      const session = all[which];
      if (session === undefined) continue;
      if (what === 'end') end(session);
      else {
        session.membership?.leave();
        session.phase = NEXT[session.phase];
        session.activeAt = now;
        session.membership?.enter();
        all = [...all.filter((one) => one !== session), session];
      }
    }
    must(pool.size === all.length && pool.size <= LIMIT, `${pool.size} sessions`);
    checkVictim(pool, all, now);
  }
});
