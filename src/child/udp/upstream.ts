/**
 * A session's way to its server: a socket that is connected to one of the port's addresses, under
 * the client's own address wherever that can work.
 *
 * - A server that refuses the first datagrams is left for the next one in the port's list, as far as
 *   `Dialling` allows it, and they are sent again. A server that has answered once is kept, as it
 *   may be restarting, until the port leads elsewhere: that is asked about while the client speaks
 *   and the server is silent.
 * - A server that never answered the client's address may have no way back to it: that is asked
 *   about as well, and the next datagram goes under an address of the namespace where it is so.
 */

import * as libc from '../../msg/libc.js';
import * as linux from '../../msg/linux.js';
import { Dialling, type DiallingFlow } from '../dialling.js';
import type { Handler } from '../reactor.js';
import type { Drops } from './drops.js';
import type { UdpForwarder } from './forwarder.js';
import { IPV4, IPV6 } from './layout.js';
import { type Path, pathToServer } from './path.js';
import type { UdpPort } from './port.js';
import { connectTo, giveUpAddress, queueDrops, wasRefused } from './sockets.js';

/** While every server refuses, all of them are tried anew no more often than this. */
const REDIAL_PAUSE_MS = 1000;
/** Longer than a server that is well takes to answer. */
const SILENCE_MS = 2000;

/** What the way to the server needs of its session. */
export interface UpstreamOwner extends Handler, DiallingFlow {
  /** No answer came yet. */
  readonly isUnreplied: boolean;
  onRefused(datagrams: number): void;
}

/** Waits for a first answer. A session has another deadline of its own. */
export interface Silence {
  deadline: number;
  readonly upstream: Upstream;
}

export class Upstream {
  readonly #owner: UpstreamOwner;
  readonly #forwarder: UdpForwarder;
  readonly #port: UdpPort;
  readonly #client: Uint8Array;
  #path: Path | undefined;
  #dialling: Dialling;
  #redialAt = 0;
  /** When the server has last said something, or could have for the first time. */
  #heardAt = performance.now();
  /** The generation of the targets in which the server was last found. */
  #generation = -1;
  #silence: Silence | undefined;
  #countedAsClient: boolean | undefined;
  #fd = -1;

  /** `client` is a sockaddr. */
  constructor(owner: UpstreamOwner, forwarder: UdpForwarder, port: UdpPort, client: Uint8Array) {
    this.#owner = owner;
    this.#forwarder = forwarder;
    this.#port = port;
    this.#client = client;
    this.#dialling = this.#newDialling();
  }

  get server(): Uint8Array | undefined {
    return this.#dialling.server;
  }

  get bytes(): number {
    return this.#path?.bytes ?? 0;
  }

  get packets(): number {
    return this.#path?.packets ?? 0;
  }

  /** False while the port's addresses are being asked for. */
  isReady(): boolean {
    return this.#dialling.isReady(this.#port);
  }

  /** Receives into the inbox. Returns how many messages: none for an error, which is a refusal. */
  receive(): number {
    const count = this.#forwarder.inbox.receive(this.#fd);
    if (count >= 0) this.#heardAt = performance.now();
    else if (count !== linux.EAGAIN) this.#onRefused();
    return count < 0 ? 0 : count;
  }

  /** The first answer of all has come. */
  onFirstAnswer(): void {
    this.#endSilence();
    this.#dialling.onAnswered();
  }

  /** Leaves a server that the port doesn't lead to any more, or that can't answer the client. */
  follow(): void {
    const { targets } = this.#port;
    const { server } = this.#dialling;
    const now = performance.now();
    targets.goesOn(now);
    if (server !== undefined && now - this.#heardAt > SILENCE_MS) {
      targets.silent(server);
      this.#askReturnPath();
    }
    if (this.#dialling.isHopeless()) return this.hangUp();
    if (this.#generation === targets.generation) return;
    this.#generation = targets.generation;
    if (server !== undefined && targets.has(server)) return;
    this.hangUp();
    this.#heardAt = now;
    this.#dialling = this.#newDialling();
    this.isReady();
  }

  /** Sends what begins at that slot. Returns why nothing of it could be sent. */
  send(slot: number): keyof Drops | undefined {
    const failure = this.#fd < 0 ? this.#dial() : undefined;
    if (failure !== undefined) return failure;
    for (;;) {
      const refused = this.#forwarder.outbox.send(this.#fd, this.#path as Path, slot);
      this.#owner.onRefused(refused);
      // Asking takes an error away, which is counted later otherwise.
      if (!this.#owner.isUnreplied || !this.#dialling.hasMore) return undefined;
      if (refused === 0 && !wasRefused(this.#fd)) return undefined;
      if (!this.#goOn() || this.#dial() !== undefined) return undefined;
    }
  }

  /** No answer for a moment. */
  onSilence(): void {
    this.#silence = undefined;
    this.#askReturnPath();
  }

  onReturnPath(): void {
    if (this.#fd >= 0 && this.#dialling.isHopeless()) this.hangUp();
  }

  hangUp(): void {
    if (this.#fd < 0) return;
    this.#endSilence();
    this.#forwarder.drop(this.#port, 'queueFull', queueDrops(this.#fd));
    giveUpAddress(this.#fd);
    this.#forwarder.reactor.close(this.#fd);
    this.#fd = -1;
  }

  /** Connects to the server whose turn it is. Returns why that can't be done. */
  #dial(): keyof Drops | undefined {
    const fd = this.#dialling.next();
    if (fd === undefined) return this.#giveUp();
    if (fd < 0) return 'noDescriptor';
    if (this.#forwarder.reactor.add(fd, linux.EPOLLIN, this.#owner) < 0) {
      libc.close(fd);
      return 'noDescriptor';
    }
    this.#count();
    this.#fd = fd;
    const { server } = this.#dialling;
    this.#port.targets.reached(server);
    const family = server?.[0] === linux.AF_INET ? IPV4 : IPV6;
    this.#path = pathToServer(family, this.#port.counters, this.#path);
    this.#watchForSilence();
    return undefined;
  }

  /** A session counts once, and again when it went from one address to another. */
  #count(): void {
    const { bearsClient } = this.#dialling;
    if (this.#countedAsClient === bearsClient) return;
    this.#countedAsClient = bearsClient;
    this.#dialling.onConnected();
  }

  #giveUp(): keyof Drops {
    const { isWithheld } = this.#dialling;
    if (isWithheld) this.#dialling.onWithheld();
    this.#startOver();
    return isWithheld ? 'sourceRequired' : 'unreachable';
  }

  /** An ICMP error came in between. The next datagram goes elsewhere, if there is an elsewhere. */
  #onRefused(): void {
    this.#owner.onRefused(1);
    if (!this.#owner.isUnreplied) {
      // It may have moved.
      if (this.server !== undefined) this.#port.targets.failed(this.server);
      this.#heardAt = -Infinity;
      return;
    }
    if (this.#goOn() || performance.now() < this.#redialAt) return;
    this.hangUp();
    this.#startOver();
  }

  /** The server has refused. True when the next one may be tried. */
  #goOn(): boolean {
    if (this.server === undefined) return false;
    if (this.#dialling.onFailed(linux.ECONNREFUSED) !== 'next') return false;
    this.hangUp();
    return true;
  }

  /** With the first of the servers, as they are known then. */
  #startOver(): void {
    this.#redialAt = performance.now() + REDIAL_PAUSE_MS;
    this.#dialling = this.#newDialling();
    this.isReady();
  }

  /** A server that answered another client lately needs no proof that replies come back. */
  #watchForSilence(): void {
    const { server, bearsClient } = this.#dialling;
    const { silent, sources } = this.#forwarder;
    if (!this.#owner.isUnreplied || !bearsClient || server === undefined) return;
    if (sources.returnPaths.isProven(server)) return;
    this.#silence = { deadline: 0, upstream: this };
    silent.set(this.#silence);
  }

  #endSilence(): void {
    if (this.#silence !== undefined) this.#forwarder.silent.clear(this.#silence);
    this.#silence = undefined;
  }

  #askReturnPath(): void {
    if (this.#fd >= 0 && this.#dialling.bearsClient) this.#dialling.ask(this.#owner);
  }

  #newDialling(): Dialling {
    return new Dialling(connectTo, this.#forwarder.sources, this.#port, this.#client);
  }
}
