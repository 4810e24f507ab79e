/**
 * Where the flows of one port go: to the containers that the engine's DNAT rules name, if there are
 * any, else and after them to the port's own addresses.
 *
 * Reading rules means running programs, so the parent does it. The first flow of a port asks and is
 * held, for a bounded moment, together with those that come meanwhile; where an engine's proxy may
 * be behind the port's own address, they are reset at the end of it rather than sent there, since
 * the proxy would hide their clients. Later flows never wait: a
 * port without a rule, or with a target that doesn't answer, is asked about again from time to
 * time while its flows go to what is known. Flows of UDP outlive their server: they follow.
 */

import type { Resolution } from '../msg/agent-port.js';
import { type Address, addressOf, encodeSockAddr } from '../msg/sockaddr.js';
import type { Deadlines, Expiring } from './deadlines.js';

/** Reading the rules takes some 20 ms; on two processors with twenty busy programs, up to 2 s. */
export const HOLD_MS = 3000;
/** So many times as long, where an engine's proxy may be behind the port's own address. */
const HOLDS_OF_ENGINES = 5;
/** The pause before the next question doubles up to here while the answer stays empty. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 60_000;

export interface Waiting {
  /** The addresses are known now. */
  connect(): void;
}

export class Targets implements Expiring {
  deadline = 0;
  /** The addresses may be dialled in any order. */
  isDualStack = false;
  /** Another one whenever the addresses have changed. */
  generation = 0;
  /** Where the last flow went; undefined before the first one. */
  server: Address | undefined;
  #reached: Uint8Array | undefined;
  readonly #own: readonly Uint8Array[];
  readonly #isEngines: boolean;
  readonly #ask: () => boolean;
  readonly #holding: Deadlines<Targets>;
  readonly #waiting = new Set<Waiting>();
  #phase: 'new' | 'holding' | 'known';
  #addresses: readonly Uint8Array[];
  /** Those of the addresses that come from rules. */
  #resolved: readonly Uint8Array[] = [];
  #isAsking = false;
  #holds = 0;
  #askAt: number;
  #pauseMs = FIRST_PAUSE_MS;

  /**
   * `ask` sends the question, or returns false when nobody is there to answer; `holding` must call
   * `onHeldLong` at the deadline.
   */
  constructor(
    own: readonly Uint8Array[],
    { mayHaveRule, isEngines }: { readonly mayHaveRule: boolean; readonly isEngines: boolean },
    ask: () => boolean,
    holding: Deadlines<Targets>,
  ) {
    this.#own = own;
    this.#isEngines = isEngines;
    this.#addresses = own;
    this.#ask = ask;
    this.#holding = holding;
    this.#phase = mayHaveRule ? 'new' : 'known';
    this.#askAt = mayHaveRule ? 0 : Infinity;
  }

  /** Addresses to dial, in this order; undefined when `flow` has to wait until it is called. */
  addressesFor(flow: Waiting): readonly Uint8Array[] | undefined {
    this.#askIfDue();
    if (this.#phase === 'known') return this.#addresses;
    if (this.#phase === 'new') this.#holding.set(this);
    this.#phase = 'holding';
    this.#waiting.add(flow);
    return undefined;
  }

  /** What the rules say, best first. */
  answered({ targets, isProxied, isDualStack }: Resolution): void {
    this.#isAsking = false;
    const before = this.#addresses;
    this.#resolved = targets.map((address) => encodeSockAddr(address));
    this.#addresses = isProxied ? this.#resolved : [...this.#resolved, ...this.#own];
    if (!isSameList(before, this.#addresses)) {
      this.#pauseMs = FIRST_PAUSE_MS;
      this.generation++;
    }
    this.isDualStack = isDualStack && targets.length === 0;
    this.#askAt = targets.length > 0 ? Infinity : performance.now() + this.#pauseMs;
    this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS);
    this.release();
  }

  /** No answer will come: the known addresses stay, and are asked about again before long. */
  unanswered(): void {
    if (!this.#isAsking) return;
    this.#isAsking = false;
    this.#askAt = performance.now() + FIRST_PAUSE_MS;
    if (!this.#isEngines) this.release();
  }

  /** Flows have been held for HOLD_MS without an answer. */
  onHeldLong(): void {
    if (!this.#isEngines) return this.release();
    this.#askIfDue();
    this.#holds++;
    if (this.#holds < HOLDS_OF_ENGINES) return this.#holding.set(this);
    const addresses = this.#addresses;
    this.#addresses = [];
    this.release();
    this.#addresses = addresses;
    this.#phase = 'new';
  }

  /** The address has taken a flow. */
  reached(address: Uint8Array | undefined): void {
    if (address === undefined || address === this.#reached) return;
    this.#reached = address;
    this.server = addressOf(address);
  }

  /** The address didn't take a connection: if a rule named it, the rule may be gone. */
  failed(address: Uint8Array | undefined): void {
    if (address !== undefined && includes(this.#resolved, address))
      this.#askAt = Math.min(this.#askAt, performance.now() + FIRST_PAUSE_MS);
  }

  /**
   * Nothing has come from the address for a while, of a flow that speaks. That may be right, so the
   * pauses between the questions double.
   */
  silent(address: Uint8Array): void {
    if (includes(this.#resolved, address))
      this.#askAt = Math.min(this.#askAt, performance.now() + this.#pauseMs);
    this.#askIfDue();
  }

  /** A flow goes on where no rule led it, perhaps: one may have come since. */
  goesOn(now: number): void {
    this.#askIfDue(now);
  }

  /** The port is gone: flows that are still held go nowhere. */
  end(): void {
    this.#addresses = [];
    this.release();
  }

  /** Whether a rule or a proxy named the address: it is a container's. */
  isNamed(address: Uint8Array): boolean {
    return includes(this.#resolved, address);
  }

  /** Whether flows are still sent there. */
  has(address: Uint8Array): boolean {
    return includes(this.#addresses, address);
  }

  /** Lets the waiting flows go to what is known. */
  release(): void {
    this.#phase = 'known';
    this.#holds = 0;
    this.#holding.clear(this);
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const flow of waiting) flow.connect();
  }

  #askIfDue(now = performance.now()): void {
    if (this.#isAsking || now < this.#askAt) return;
    this.#isAsking = true;
    if (!this.#ask()) this.unanswered();
  }
}

function isSameList(one: readonly Uint8Array[], other: readonly Uint8Array[]): boolean {
  return Buffer.concat(one).equals(Buffer.concat(other));
}

function includes(addresses: readonly Uint8Array[], address: Uint8Array): boolean {
  return addresses.some((one) => Buffer.compare(one, address) === 0);
}
