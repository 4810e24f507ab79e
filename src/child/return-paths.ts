/**
 * Whether replies to clients' addresses come back from a target.
 *
 * That is a property of the container's routes and never concluded from silence: a firewall that
 * drops a client is silent too, and must not be got around. A flow that meets silence makes the
 * agent ask; the parent looks at the routes and sends a canary (`parent/return-path/`). Until the
 * evidence is there, and where there is none, flows keep their clients' addresses.
 *
 * An answer is kept for as long as flows use it, and asked for again from time to time beside them.
 */

import type { ReturnPathAnswer } from '../msg/source-address.js';
import { encodeSockAddr, keyOfIP } from '../msg/sockaddr.js';

/** Between two questions about a target whose answer stays the same; it doubles up to the second. */
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 32_000;
/** After this, what is known of lost replies and dead targets is asked about anew while it is used. */
const RECHECK_MS = 5000;
/** A target that answered a client this lately needs no proof. */
const PROVEN_MS = 10_000;
/** Targets remembered at a time, and clients of each; the oldest give way. */
const MOST_TARGETS = 4096;
const MOST_CLIENTS = 1024;

/** A flow that waits for an answer. */
export interface Silent {
  /** More is known about the target now. The flow may have ended meanwhile. */
  onReturnPath(): void;
}

/** Asks the parent; false when there is none. */
export type AskReturnPath = (port: number, server: Uint8Array, client: Uint8Array) => boolean;

class Target {
  /** Replies to no client's address come back. */
  isLost = false;
  isDead = false;
  /** For people: why. */
  reason = '';
  /** Clients to whose addresses no reply comes back, by address. */
  readonly lostClients = new Set<string>();
  askedAt = -Infinity;
  answeredAt = -Infinity;
  provenAt = -Infinity;
  pauseMs = FIRST_PAUSE_MS;
  isAsking = false;
  readonly waiting = new Set<Silent>();
}

export class ReturnPaths {
  /** Another number whenever replies of some target turned out to be lost. */
  generation = 0;
  readonly #ask: AskReturnPath;
  readonly #targets = new Map<string, Target>();

  constructor(ask: AskReturnPath) {
    this.#ask = ask;
  }

  /**
   * True when replies to that client don't come back, as far as is known. Asks again beside the
   * flow when the knowledge is old.
   */
  isLost(port: number, server: Uint8Array, client: Uint8Array): boolean {
    const target = this.#targets.get(keyOfIP(server));
    if (target === undefined) return false;
    const isLost = target.isLost || target.lostClients.has(keyOfIP(client));
    if (isLost) this.#recheck(target, port, server, client);
    return isLost;
  }

  /** True when nobody has the address, as far as is known. */
  isDead(port: number, server: Uint8Array, client: Uint8Array): boolean {
    const target = this.#targets.get(keyOfIP(server));
    if (target?.isDead !== true) return false;
    this.#recheck(target, port, server, client);
    return true;
  }

  /** For people: why replies of that server are lost. */
  reasonOf(server: Uint8Array): string {
    return this.#targets.get(keyOfIP(server))?.reason ?? '';
  }

  /** A reply to a client's address has come back. */
  proven(server: Uint8Array): void {
    this.#targetOf(server).provenAt = performance.now();
  }

  /** A reply has come back lately, so that the next silence says little. */
  isProven(server: Uint8Array): boolean {
    const target = this.#targets.get(keyOfIP(server));
    return target !== undefined && performance.now() - target.provenAt < PROVEN_MS;
  }

  /**
   * A flow of that port that bears the client's address has no answer. Asks, unless that was done a
   * moment ago, and calls the flow after the next answer. False when nobody is there to ask.
   */
  ask(port: number, server: Uint8Array, client: Uint8Array, flow: Silent): boolean {
    const target = this.#targetOf(server);
    const now = performance.now();
    if (!target.isAsking && now < target.askedAt + target.pauseMs) return true;
    if (!target.isAsking && !this.#send(target, port, server, client)) return false;
    target.waiting.add(flow);
    return true;
  }

  /** As `ask`, however lately that was done. */
  askNow(port: number, server: Uint8Array, client: Uint8Array, flow: Silent): boolean {
    const target = this.#targetOf(server);
    if (!target.isAsking && !this.#send(target, port, server, client)) return false;
    target.waiting.add(flow);
    return true;
  }

  answered(answer: ReturnPathAnswer): void {
    const target = this.#targets.get(keyOfText(answer.target));
    if (target === undefined) return;
    target.isAsking = false;
    target.answeredAt = performance.now();
    if (this.#note(target, answer)) target.pauseMs = FIRST_PAUSE_MS;
    else target.pauseMs = Math.min(2 * target.pauseMs, LONGEST_PAUSE_MS);
    callAll(target);
  }

  /** The parent is gone, and answers no more. */
  unanswered(): void {
    for (const target of this.#targets.values()) {
      if (!target.isAsking) continue;
      target.isAsking = false;
      callAll(target);
    }
  }

  /** True when something is known that was not before. */
  #note(target: Target, { verdict, scope, client, reason }: ReturnPathAnswer): boolean {
    const before = `${target.isLost} ${target.isDead} ${target.lostClients.size}`;
    target.isDead = verdict === 'dead';
    const key = keyOfText(client);
    if (verdict === 'lost') {
      target.reason = reason;
      if (scope === 'target') target.isLost = true;
      else addBounded(target.lostClients, key, MOST_CLIENTS);
    } else if (verdict !== 'unknown') {
      target.isLost = false;
      target.lostClients.delete(key);
    }
    const isNew = before !== `${target.isLost} ${target.isDead} ${target.lostClients.size}`;
    if (isNew) this.generation++;
    return isNew;
  }

  #recheck(target: Target, port: number, server: Uint8Array, client: Uint8Array): void {
    const now = performance.now();
    if (target.isAsking || now < Math.max(target.answeredAt, target.askedAt) + RECHECK_MS) return;
    this.#send(target, port, server, client);
  }

  #send(target: Target, port: number, server: Uint8Array, client: Uint8Array): boolean {
    target.askedAt = performance.now();
    target.isAsking = this.#ask(port, server, client);
    return target.isAsking;
  }

  #targetOf(server: Uint8Array): Target {
    const key = keyOfIP(server);
    let target = this.#targets.get(key);
    if (target === undefined) {
      target = new Target();
      if (this.#targets.size >= MOST_TARGETS) {
        const [oldest] = this.#targets.keys();
        this.#targets.delete(oldest as string);
      }
      this.#targets.set(key, target);
    }
    return target;
  }
}

function keyOfText(ip: string): string {
  return keyOfIP(encodeSockAddr({ ip, port: 0 }));
}

function callAll({ waiting }: Target): void {
  const flows = [...waiting];
  waiting.clear();
  for (const flow of flows) flow.onReturnPath();
}

function addBounded(set: Set<string>, key: string, most: number): void {
  if (set.size >= most) {
    const [oldest] = set;
    set.delete(oldest as string);
  }
  set.add(key);
}
