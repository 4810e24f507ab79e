/**
 * Sessions in the order of their last activity, by phase, and which one of them makes room for
 * another. Each change takes constant time. A Set would not do: it keeps holes where its oldest
 * entries were, and whoever looks for the oldest one goes through all of them.
 */

/** `established`: the client has spoken again after the server's first answer. */
export type Phase = 'unreplied' | 'answered' | 'established';

export interface Limited {
  readonly phase: Phase;
  /** Whole milliseconds on the clock of performance.now(), to the second. */
  activeAt: number;
}

/** Which sessions may be given up. */
export interface Terms {
  /** Answered sessions that were active since then may become established, established ones are in use. */
  readonly answeredSince: number;
  readonly establishedSince: number;
  /** So many young sessions (unreplied or answered) stay when an established one can go instead. */
  readonly reserve: number;
}

/** A session's place in one group. */
export class Place<T extends Limited> {
  readonly session: T;
  before: Place<T> | undefined;
  after: Place<T> | undefined;

  constructor(session: T) {
    this.session = session;
  }
}

class Line<T extends Limited> {
  size = 0;
  #first: Place<T> | undefined;
  #last: Place<T> | undefined;

  get first(): T | undefined {
    return this.#first?.session;
  }

  /** The first session, if it was not active since then. */
  silentSince(since: number): T | undefined {
    const first = this.first;
    return first !== undefined && first.activeAt <= since ? first : undefined;
  }

  append(place: Place<T>): void {
    place.before = this.#last;
    place.after = undefined;
    if (this.#last === undefined) this.#first = place;
    else this.#last.after = place;
    this.#last = place;
    this.size++;
  }

  remove(place: Place<T>): void {
    if (place.before === undefined) this.#first = place.after;
    else place.before.after = place.after;
    if (place.after === undefined) this.#last = place.before;
    else place.after.before = place.before;
    this.size--;
  }
}

export class Group<T extends Limited> {
  readonly #unreplied = new Line<T>();
  readonly #answered = new Line<T>();
  readonly #established = new Line<T>();

  get size(): number {
    return this.#unreplied.size + this.#answered.size + this.#established.size;
  }

  /** Enters a session, at the end of its phase's line. */
  add(place: Place<T>): void {
    this.#lineOf(place.session.phase).append(place);
  }

  /** Before its phase changes, or at its end. */
  delete(place: Place<T>): void {
    this.#lineOf(place.session.phase).remove(place);
  }

  /**
   * The session that makes room for another one; undefined when there is none. `other` is asked for
   * one that is given up although it is in use.
   */
  victim(terms: Terms, other?: () => T | undefined): T | undefined {
    const [unreplied, answered] = [this.#unreplied, this.#answered];
    if (2 * unreplied.size > this.size) return unreplied.first;
    const finished = answered.silentSince(terms.answeredSince);
    if (finished !== undefined) return finished;
    if (unreplied.size + answered.size <= terms.reserve) {
      const silent = this.#established.silentSince(terms.establishedSince) ?? other?.();
      if (silent !== undefined) return silent;
    }
    return answered.first ?? unreplied.first;
  }

  #lineOf(phase: Phase): Line<T> {
    switch (phase) {
      case 'unreplied':
        return this.#unreplied;
      case 'answered':
        return this.#answered;
      case 'established':
        return this.#established;
      default:
        return phase satisfies never;
    }
  }
}
