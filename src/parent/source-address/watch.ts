/**
 * Keeps in place what was set up for clients' addresses, and knows whether it is.
 *
 * An event of the notifier says that a part could have changed. Then the part is read; when it
 * differs from what was put there, it is put back and told. While it can't be, its families are not
 * kept, and it is tried again. Parts are read and put back one after the other, by one loop.
 */

import { messageOf } from '../../msg/errors.js';
import type { Fd } from '../../msg/fd.js';
import { hasEnded, openPidfd } from '../../msg/pidfd.js';
import type { ChildContext } from '../../msg/port.js';
import type { EventSink } from '../events/event.js';
import { pause } from '../pause.js';
import type { Poller } from '../poller.js';
import type { Failures } from './failures.js';
import { Notifier } from './notifier.js';
import { PART_KINDS, type Part, type PartKind } from './part.js';
import { type KeptFamilies, keptWith, type SourceAddressing } from './set-up.js';

/** Until what people wait for has started. */
const BEGIN_PAUSE_MS = 1000;
/** For callers of `/v1/info`. */
const NOW_LIMIT_MS = 3000;
const TRIES = 3;
const TRY_PAUSE_MS = 100;
/** After the tries, and between looks where nothing tells of changes. */
const RETRY_MS = 5000;
/** Between repairs, once there were so many within RETRY_MS: another program goes on removing. */
const FIGHT_PAUSE_MS = 500;
const FIGHT_AFTER = 10;

export interface WatchOptions {
  readonly child: ChildContext;
  readonly addressing: SourceAddressing;
  readonly poller: Poller;
  readonly emit: EventSink;
  /** Agents are to be told. */
  readonly onKept: (kept: KeptFamilies) => void;
}

export class SourceWatch {
  readonly #options: WatchOptions;
  readonly #life: Fd;
  readonly #over = new AbortController();
  readonly #begun: Promise<void>;
  readonly #suspect = new Set<PartKind>();
  /** What was read after the part was put there. */
  readonly #expected = new Map<PartKind, string>();
  readonly #failures = new Map<PartKind, Failures>();
  #notifier: Notifier | undefined;
  #retry: NodeJS.Timeout | undefined;
  #work: Promise<void> | undefined;
  #kept: KeptFamilies;
  /** When parts were put back the last times. */
  #repairs: number[] = [];

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#kept = options.addressing;
    this.#life = openPidfd(options.child.pid);
    this.#begun = this.#begin();
  }

  /** As far as is known. */
  get kept(): KeptFamilies {
    return this.#kept;
  }

  /** What is so now; what is known where a tool takes too long to say. */
  async now(): Promise<KeptFamilies> {
    const answered = new AbortController();
    const limit = pause(NOW_LIMIT_MS, answered.signal);
    await Promise.race([this.settled(), limit]);
    answered.abort();
    return this.#kept;
  }

  /** Resolves once all that has happened until now was looked at, and put back where it can be. */
  async settled(): Promise<void> {
    if (this.#over.signal.aborted) return;
    const changed = this.#notifier?.changed() ?? [];
    if (changed.length > 0) this.#look(changed);
    while (this.#work !== undefined) await this.#work;
  }

  /** Resolves once nothing is put back any more. */
  async close(): Promise<void> {
    this.#over.abort();
    clearTimeout(this.#retry);
    await this.#begun;
    await this.#work;
    clearTimeout(this.#retry);
    this.#notifier?.close();
    this.#notifier = undefined;
    this.#life.close();
  }

  async #begin(): Promise<void> {
    const { addressing, child, poller, emit } = this.#options;
    await pause(BEGIN_PAUSE_MS, this.#over.signal);
    if (this.#isOver || addressing.parts.length === 0) return;
    try {
      this.#notifier = await Notifier.open(child, poller, (changed) => this.#look(changed));
    } catch (error) {
      if (this.#isOver) return;
      const reason = `removed firewall rules are noticed after ${RETRY_MS / 1000} s only: `;
      emit({ type: 'problem', code: 'ERR_SOURCE_WATCH', reason: reason + messageOf(error) });
      this.#lookLater();
    }
    this.#look(PART_KINDS);
    await this.#work;
  }

  #look(kinds: readonly PartKind[]): void {
    for (const kind of kinds) this.#suspect.add(kind);
    this.#work ??= this.#inspect().finally(() => (this.#work = undefined));
  }

  #lookLater(): void {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#look(PART_KINDS), RETRY_MS).unref();
  }

  async #inspect(): Promise<void> {
    for (const kind of this.#suspect) {
      const part = this.#options.addressing.parts.find((one) => one.kind === kind);
      this.#suspect.delete(kind);
      if (part !== undefined && !this.#isOver) await this.#inspectPart(part);
    }
    if (this.#notifier === undefined || this.#failures.size > 0) this.#lookLater();
  }

  async #inspectPart(part: Part): Promise<void> {
    const expected = this.#expected.get(part.kind);
    const hasFailed = this.#failures.has(part.kind);
    if (expected !== undefined && !hasFailed && (await part.read()) === expected) return;
    if (this.#isOver) return;
    const failure = await this.#putBack(part);
    if (this.#isOver) return;
    if (failure !== undefined) this.#failures.set(part.kind, failure);
    else this.#failures.delete(part.kind);
    // The first time it is put there anew, to know how it reads.
    if (failure === undefined && expected !== undefined && !hasFailed) await this.#told(part);
    this.#judge();
  }

  /** Returns what could not be had that was there before. */
  async #putBack(part: Part): Promise<Failures | undefined> {
    let failure: Failures | undefined;
    for (let tries = 0; tries < TRIES && !this.#isOver; tries++) {
      if (tries > 0) await pause(TRY_PAUSE_MS, this.#over.signal);
      failure = this.#lost(await part.put());
      if (failure !== undefined) continue;
      // Events of our own change are no news, and one of somebody else's would show in the reading.
      this.#takeEvents(part.kind);
      const read = await part.read();
      if (read !== undefined) this.#expected.set(part.kind, read);
      return undefined;
    }
    return failure;
  }

  #takeEvents(own: PartKind): void {
    for (const kind of this.#notifier?.changed() ?? []) if (kind !== own) this.#suspect.add(kind);
  }

  /** Without the families that could not be served from the start; undefined when nothing is left. */
  #lost({ ipv4, ipv6 }: Failures): Failures | undefined {
    const { addressing } = this.#options;
    const lost = {
      ...(addressing.ipv4 && ipv4 !== undefined && { ipv4 }),
      ...(addressing.ipv6 && ipv6 !== undefined && { ipv6 }),
    };
    return Object.keys(lost).length > 0 ? lost : undefined;
  }

  async #told({ name }: Part): Promise<void> {
    const reason =
      `another program removed or changed ${name}, and sluice put it back: ` +
      'without it no answer reaches a client whose address is kept';
    this.#options.emit({ type: 'problem', code: 'ERR_SOURCE_RULES', reason });
    const now = performance.now();
    this.#repairs = [...this.#repairs.slice(1 - FIGHT_AFTER), now];
    const [first = now] = this.#repairs;
    const isFight = this.#repairs.length === FIGHT_AFTER && now - first < RETRY_MS;
    if (isFight) await pause(FIGHT_PAUSE_MS, this.#over.signal);
  }

  #judge(): void {
    const { addressing, emit, onKept } = this.#options;
    const { ipv4, ipv6, reason } = keptWith([...this.#failures.values()]);
    const kept = {
      ipv4: addressing.ipv4 && ipv4,
      ipv6: addressing.ipv6 && ipv6,
      ...((reason ?? addressing.reason) !== undefined && { reason: reason ?? addressing.reason }),
    };
    const before = this.#kept;
    this.#kept = kept;
    if (before.ipv4 === kept.ipv4 && before.ipv6 === kept.ipv6) return;
    const text =
      reason === undefined
        ? "clients' addresses are kept again"
        : `clients' addresses are not kept, because what was removed can't be put back: ${reason}`;
    emit({ type: 'problem', code: 'ERR_SOURCE_RULES', reason: text });
    onKept(kept);
  }

  get #isOver(): boolean {
    return this.#over.signal.aborted || hasEnded(this.#life.number);
  }
}
