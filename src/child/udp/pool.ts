/**
 * The sessions of one port, or all sessions, and each client's share of them. Which client has the
 * most is known at any time: clients are kept by how many sessions they have, and that number
 * changes by one at a time.
 */

import { Group, type Limited, Place, type Terms } from './group.js';
import { CLIENT_SHARE, FLOOR_MS, RESERVE_SHARE } from './limits.js';

class Share<T extends Limited> extends Group<T> {
  readonly client: string;

  constructor(client: string) {
    super();
    this.client = client;
  }
}

/** A session's place in a pool. */
export class Membership<T extends Limited> {
  readonly #group: Group<T>;
  readonly #share: Share<T>;
  readonly #inGroup: Place<T>;
  readonly #inShare: Place<T>;

  constructor(group: Group<T>, share: Share<T>, session: T) {
    this.#group = group;
    this.#share = share;
    this.#inGroup = new Place(session);
    this.#inShare = new Place(session);
    this.enter();
  }

  get share(): Share<T> {
    return this.#share;
  }

  /** To the end of the lines of the session's phase. */
  enter(): void {
    this.#group.add(this.#inGroup);
    this.#share.add(this.#inShare);
  }

  /** Before the session's phase changes, or at its end. */
  leave(): void {
    this.#group.delete(this.#inGroup);
    this.#share.delete(this.#inShare);
  }
}

export class Pool<T extends Limited> {
  /** Sessions that are more already stay. */
  limit: number;
  readonly #all = new Group<T>();
  readonly #shares = new Map<string, Share<T>>();
  readonly #bySize = new Map<number, Set<Share<T>>>();
  #largest = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  get size(): number {
    return this.#all.size;
  }

  get isFull(): boolean {
    return this.size >= this.limit;
  }

  sizeOf(client: string): number {
    return this.#shares.get(client)?.size ?? 0;
  }

  add(session: T, client: string): Membership<T> {
    let share = this.#shares.get(client);
    if (share === undefined) {
      share = new Share(client);
      this.#shares.set(client, share);
    }
    const membership = new Membership(this.#all, share, session);
    this.#resized(share, share.size - 1);
    return membership;
  }

  delete(membership: Membership<T>): void {
    membership.leave();
    const { share } = membership;
    this.#resized(share, share.size + 1);
    if (share.size === 0) this.#shares.delete(share.client);
  }

  /** The session that makes room for another one; undefined when all are in use. */
  victim(now: number, limit = this.limit): T | undefined {
    return this.#all.victim(termsAt(now, limit), () => {
      const share = this.#largestShare();
      const isTooMuch = share !== undefined && share.size > Math.max(1, limit / CLIENT_SHARE);
      return isTooMuch ? victimOf(share, now) : undefined;
    });
  }

  /** The client's session that makes room for another one of its own. */
  victimOf(client: string, now: number): T | undefined {
    const share = this.#shares.get(client);
    return share === undefined ? undefined : victimOf(share, now);
  }

  #largestShare(): Share<T> | undefined {
    const [share] = this.#bySize.get(this.#largest) ?? [];
    return share;
  }

  #resized(share: Share<T>, before: number): void {
    const { size } = share;
    const old = this.#bySize.get(before);
    old?.delete(share);
    if (old?.size === 0) this.#bySize.delete(before);
    if (size > 0) {
      const same = this.#bySize.get(size);
      if (same === undefined) this.#bySize.set(size, new Set([share]));
      else same.add(share);
    }
    if (size > this.#largest || !this.#bySize.has(this.#largest)) this.#largest = size;
  }
}

/** In a client's own share the longest silent established session may go, however short that is. */
function victimOf<T extends Limited>(share: Share<T>, now: number): T | undefined {
  return share.victim({ ...termsAt(now, share.size), establishedSince: Infinity });
}

function termsAt(now: number, limit: number): Terms {
  const since = now - FLOOR_MS;
  return {
    answeredSince: since,
    establishedSince: since,
    reserve: Math.floor(limit / RESERVE_SHARE),
  };
}
