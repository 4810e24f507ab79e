/**
 * Whether replies to clients' addresses come back from a target.
 *
 * That is a property of the container's routes and never concluded from silence: a firewall that
 * drops a client is silent too, and must not be got around. A flow that meets silence makes the
 * agent ask; the parent looks at the routes and sends a canary (`parent/return-path/`). Until the
 * evidence is there, and where there is none, flows keep their clients' addresses.
 *
 * An answer is kept for as long as flows use it, and asked for again from time to time beside them.
 * The answers to one client's questions don't delay another one's.
 */

import type { ReturnPathAnswer } from '../msg/source-address.js';
import { encodeSockAddr, keyOfIP } from '../msg/sockaddr.js';

/** Between two questions of a client whose answer stays the same; it doubles up to the second. */
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 32_000;
/** After this, an answer that sends flows another way is asked for anew while it is used. */
const RECHECK_MS = 5000;
/** A target that answered a client this lately needs no proof. */
const PROVEN_MS = 10_000;
/** Questions about one target; the parent answers those that come together by one look. */
const MOST_IN_A_SECOND = 16;
/** Targets remembered at a time, and clients of each; the oldest give way. */
const MOST_TARGETS = 4096;
const MOST_CLIENTS = 1024;

/** A flow that waits for an answer. */
export interface Silent {
  /** More is known about the target now. The flow may have ended meanwhile. */
  onReturnPath(): void;
}

/** Asks the parent; false when there is none. */
export type AskReturnPath = (question: Question) => boolean;

/** Addresses are sockaddrs. */
export interface Question {
  readonly port: number;
  readonly server: Uint8Array;
  readonly client: Uint8Array;
}

class Client {
  /** Replies to its address don't come back; undefined where the target's answer holds for it. */
  isLost: boolean | undefined;
  askedAt = -Infinity;
  pauseMs = FIRST_PAUSE_MS;
  isAsking = false;
  readonly waiting = new Set<Silent>();
}

class Target {
  /** Replies to no client's address come back. */
  isLost = false;
  isDead = false;
  /** For people: why replies are lost. */
  reason = '';
  /** By address. */
  readonly clients = new Map<string, Client>();
  answeredAt = -Infinity;
  provenAt = -Infinity;
  secondAt = -Infinity;
  askedInSecond = 0;
}

export class ReturnPaths {
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
    const isLost = target.clients.get(keyOfIP(client))?.isLost ?? target.isLost;
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
   * A flow that bears the client's address has no answer. Asks, unless that was done a moment ago,
   * and calls the flow after the answer. False when nobody is there to ask.
   */
  ask(port: number, server: Uint8Array, client: Uint8Array, flow: Silent): boolean {
    const target = this.#targetOf(server);
    const asking = clientOf(target, client);
    const isTooSoon = performance.now() < asking.askedAt + asking.pauseMs || isBusy(target);
    if (!asking.isAsking && isTooSoon) return true;
    return this.#askFor(target, asking, { port, server, client }, flow);
  }

  /** As `ask`, however lately that was done. */
  askNow(port: number, server: Uint8Array, client: Uint8Array, flow: Silent): boolean {
    const target = this.#targetOf(server);
    return this.#askFor(target, clientOf(target, client), { port, server, client }, flow);
  }

  /** Forgets answers from before that time: the address is another container's since then. */
  forgetBefore(time: number, server: Uint8Array): void {
    const key = keyOfIP(server);
    const target = this.#targets.get(key);
    if (target === undefined || target.answeredAt >= time) return;
    this.#targets.delete(key);
    forget(target);
  }

  answered({ target: ip, client: clientIP, verdict, scope, reason }: ReturnPathAnswer): void {
    const target = this.#targets.get(keyOfText(ip));
    const client = target?.clients.get(keyOfText(clientIP));
    if (target === undefined || client === undefined) return;
    client.isAsking = false;
    target.answeredAt = performance.now();
    const before = `${target.isLost} ${target.isDead} ${client.isLost}`;
    target.isDead = verdict === 'dead';
    // A firewall is silent for a reason, as soon as the target has answered anybody.
    const isLost = verdict === 'lost' || (verdict === 'shut' && target.provenAt === -Infinity);
    if (isLost) target.reason = reason;
    if (verdict !== 'failed') {
      client.isLost = scope === 'client' ? isLost : undefined;
      if (scope === 'target') target.isLost = isLost;
    }
    const isNew = before !== `${target.isLost} ${target.isDead} ${client.isLost}`;
    client.pauseMs = isNew ? FIRST_PAUSE_MS : Math.min(2 * client.pauseMs, LONGEST_PAUSE_MS);
    // What holds for the target concerns those as well that wait for an answer of their own.
    const concerned = isNew && scope === 'target' ? target.clients.values() : [client];
    for (const one of concerned) callAll(one);
  }

  /** The parent is gone, and answers no more. */
  unanswered(): void {
    for (const { clients } of this.#targets.values()) {
      for (const client of clients.values()) {
        if (!client.isAsking) continue;
        client.isAsking = false;
        callAll(client);
      }
    }
  }

  #recheck(target: Target, port: number, server: Uint8Array, client: Uint8Array): void {
    const now = performance.now();
    const asking = clientOf(target, client);
    const latest = Math.max(target.answeredAt, asking.askedAt, target.secondAt);
    if (!asking.isAsking && now >= latest + RECHECK_MS) {
      this.#askFor(target, asking, { port, server, client });
    }
  }

  #askFor(target: Target, asking: Client, { port, server, client }: Question, flow?: Silent) {
    if (!asking.isAsking) {
      asking.askedAt = performance.now();
      countQuestion(target, asking.askedAt);
      asking.isAsking = this.#ask({ port, server, client });
    }
    if (asking.isAsking && flow !== undefined) asking.waiting.add(flow);
    return asking.isAsking;
  }

  #targetOf(server: Uint8Array): Target {
    const key = keyOfIP(server);
    return getOrAdd(this.#targets, key, MOST_TARGETS, () => new Target(), forget);
  }
}

function clientOf({ clients }: Target, client: Uint8Array): Client {
  return getOrAdd(clients, keyOfIP(client), MOST_CLIENTS, () => new Client(), callAll);
}

function isBusy({ secondAt, askedInSecond }: Target): boolean {
  return performance.now() < secondAt + 1000 && askedInSecond >= MOST_IN_A_SECOND;
}

function countQuestion(target: Target, now: number): void {
  if (now >= target.secondAt + 1000) {
    target.secondAt = now;
    target.askedInSecond = 0;
  }
  target.askedInSecond++;
}

function keyOfText(ip: string): string {
  return keyOfIP(encodeSockAddr({ ip, port: 0 }));
}

function callAll({ waiting }: Client): void {
  const flows = [...waiting];
  waiting.clear();
  for (const flow of flows) flow.onReturnPath();
}

/** Nobody waits any longer for an answer that will not be taken. */
function forget({ clients }: Target): void {
  for (const client of clients.values()) callAll(client);
}

function getOrAdd<T>(
  map: Map<string, T>,
  key: string,
  most: number,
  make: () => T,
  drop: (oldest: T) => void,
): T {
  const known = map.get(key);
  if (known !== undefined) return known;
  const [oldest] = map.size >= most ? map : [];
  if (oldest !== undefined) {
    map.delete(oldest[0]);
    drop(oldest[1]);
  }
  const added = make();
  map.set(key, added);
  return added;
}
