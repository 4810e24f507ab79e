/**
 * How a flow reaches its server: which address is tried now, and whether as the client.
 *
 * - An attempt bears the client's address wherever that can work (`source.ts`). It is repeated under
 *   an address of the namespace only where the kernel refuses the client's address, or where there
 *   is evidence that replies to it can't come back (`return-paths.ts`).
 * - A refusal may be a firewall's, meant for this client. So it is final, unless another container,
 *   or an address on which the client is judged by the same address, comes next. A port's own
 *   addresses follow a container only when nobody has the container's address any more.
 */

import * as linux from '../msg/linux.js';
import type { SourceLoss } from '../msg/source-address.js';
import { listens } from './listening.js';
import { exhaustedBy } from './overload.js';
import type { Silent } from './return-paths.js';
import { isSourceProblem, withoutPort } from './sockets.js';
import type { SourceAddresses } from './source.js';
import type { Targets, Waiting } from './targets.js';

/**
 * A new socket that is connected or about to be, from the address `source` if one is given; else
 * the negative errno.
 */
export type ConnectTo = (server: Uint8Array, source?: Uint8Array) => number;

/** After a failed attempt: try `next`; reset the client; or ask whether the container is there. */
export type AfterFailure = 'next' | 'reset' | 'ask';

/** A flow with its dialling. */
export interface DiallingFlow extends Waiting, Silent {}

export class Dialling {
  readonly #connectTo: ConnectTo;
  readonly #sources: SourceAddresses;
  readonly #targets: Targets;
  readonly #port: number;
  /** As a sockaddr. */
  readonly #client: Uint8Array;
  /** On the clock of performance.now(). */
  readonly startedAt = performance.now();
  #servers: readonly Uint8Array[] = [];
  #at = 0;
  /** Why this attempt doesn't bear the client's address; undefined if it does. */
  #loss: SourceLoss | undefined;
  /** The kernel has refused the client's address towards this server. */
  #isSourceRefused = false;
  /** The first server that was not dialled, since client addresses are required. */
  #withheld: { readonly loss: SourceLoss; readonly server: Uint8Array } | undefined;

  constructor(
    connectTo: ConnectTo,
    sources: SourceAddresses,
    { id, targets }: { readonly id: number; readonly targets: Targets },
    client: Uint8Array,
  ) {
    this.#connectTo = connectTo;
    this.#sources = sources;
    this.#targets = targets;
    this.#port = id;
    this.#client = client;
  }

  /** False while the addresses are being asked for: `flow` is called once they are known. */
  isReady(flow: Waiting): boolean {
    const servers = this.#targets.addressesFor(flow);
    if (servers === undefined) return false;
    const alive = servers.filter((server) => !this.#isDead(server));
    const known = alive.length > 0 ? alive : servers;
    const prefersFamily = this.#targets.isDualStack || this.#isListeningForFamily(known);
    this.#servers = prefersFamily ? this.#sources.inOrder(this.#client, known) : known;
    return true;
  }

  /** Whose turn it is; undefined after the last one. */
  get server(): Uint8Array | undefined {
    return this.#servers[this.#at];
  }

  /** There are servers left after the one whose turn it is. */
  get hasMore(): boolean {
    return this.#at + 1 < this.#servers.length;
  }

  /** The attempt's socket has the client's address. */
  get bearsClient(): boolean {
    return this.#loss === undefined;
  }

  /** The client is to be refused, since a server would not see its address. */
  get isWithheld(): boolean {
    return this.#withheld !== undefined;
  }

  /**
   * The socket of the next attempt that could be started; undefined when there is no address left,
   * a negative errno when there is no fd or memory for a socket.
   */
  next(): number | undefined {
    for (; this.#at < this.#servers.length; this.#advance()) {
      const fd = this.#start(this.#servers[this.#at] as Uint8Array);
      if (fd !== undefined && (fd >= 0 || exhaustedBy(fd) !== undefined)) return fd;
      if (fd !== undefined) this.#targets.failed(this.server);
      if (!this.#isPassable(fd)) return undefined;
    }
    return undefined;
  }

  /** The attempt has failed with this negative errno. `next` may be called after `next`. */
  onFailed(error: number): AfterFailure {
    const server = this.server as Uint8Array;
    const next = this.#servers[this.#at + 1];
    this.#targets.failed(server);
    if (next === undefined) return 'reset';
    if (error !== linux.ECONNREFUSED) return 'ask';
    if (!this.#mayFollow(server, next)) return 'reset';
    this.#advance();
    return 'next';
  }

  /** After 'ask': true, and `next` may be called, when nobody has the server's address. */
  isGone(): boolean {
    const isGone = this.server !== undefined && this.#isDead(this.server);
    if (isGone) this.#advance();
    return isGone;
  }

  /**
   * True when this attempt can't succeed, as is known by now, and `next` begins a better one: at the
   * next server since nobody has this address, or without the client's address since no reply to it
   * comes back.
   */
  isHopeless(): boolean {
    if (this.server === undefined) return false;
    if (this.hasMore && this.#isDead(this.server)) {
      this.#advance();
      return true;
    }
    return this.bearsClient && this.#isLost(this.server);
  }

  /** Asks whether replies come back, for a flow without an answer. False when nobody can be asked. */
  ask(flow: Silent): boolean {
    const { returnPaths } = this.#sources;
    return (
      this.server !== undefined && returnPaths.ask(this.#port, this.server, this.#client, flow)
    );
  }

  /** As `ask`, whether or not that was done a moment ago. */
  askNow(flow: Silent): boolean {
    const { returnPaths } = this.#sources;
    return (
      this.server !== undefined && returnPaths.askNow(this.#port, this.server, this.#client, flow)
    );
  }

  /** Counts whether the server sees the client's address. */
  onConnected(): void {
    if (this.#loss === undefined) this.#sources.kept++;
    else this.#count(this.#loss, false, this.server);
  }

  /** Something came back from the server. */
  onAnswered(): void {
    if (this.bearsClient && this.server !== undefined) {
      this.#sources.returnPaths.proven(this.server);
    }
  }

  /** Counts a flow, or one of its datagrams, that is refused because of its client's address. */
  onWithheld(): void {
    if (this.#withheld !== undefined) this.#count(this.#withheld.loss, true, this.#withheld.server);
  }

  /** Undefined where the client's address is required and can't be had. */
  #start(server: Uint8Array): number | undefined {
    this.#loss = this.#lossFor(server);
    if (this.#loss !== undefined) {
      if (!this.#sources.policy.isRequired) return this.#connectTo(server);
      this.#withheld ??= { loss: this.#loss, server };
      return undefined;
    }
    let fd = this.#connectTo(server, this.#client);
    // The client uses its port for another connection of ours: the address matters more.
    if (fd < 0 && isSourceProblem(fd)) fd = this.#connectTo(server, withoutPort(this.#client));
    if (fd >= 0 || !isSourceProblem(fd)) return fd;
    this.#isSourceRefused = true;
    return this.#start(server);
  }

  #lossFor(server: Uint8Array): SourceLoss | undefined {
    if (this.#isSourceRefused) return 'refused';
    const loss = this.#sources.lossFor(this.#client, server);
    return loss ?? (this.#isLost(server) ? 'unreturned' : undefined);
  }

  /** A server listens on the own address of the client's family, and that address is not the first. */
  #isListeningForFamily(servers: readonly Uint8Array[]): boolean {
    const [first] = servers;
    if (first === undefined || first[0] === this.#client[0] || this.#targets.isNamed(first)) {
      return false;
    }
    const own = servers.find((server) => server[0] === this.#client[0]);
    return own !== undefined && listens(own) === true;
  }

  /** Whether a server that could not be dialled may be left for the next: as in `#mayFollow`. */
  #isPassable(error: number | undefined): boolean {
    const [server, next] = this.#servers.slice(this.#at);
    if (server === undefined || next === undefined) return true;
    if (error === linux.ENETUNREACH || this.#targets.isNamed(next)) return true;
    return !this.#targets.isNamed(server);
  }

  /** Whether the client may be taken to `next` after `server` refused it. */
  #mayFollow(server: Uint8Array, next: Uint8Array): boolean {
    // Another container, unless it can't tell the client from others.
    if (this.#targets.isNamed(next)) return !this.bearsClient || this.#lossFor(next) === undefined;
    if (this.#targets.isNamed(server)) return false;
    if (!this.bearsClient || this.#lossFor(next) === undefined) return true;
    // Somebody listens there, so a firewall has rejected this client.
    return listens(server) === false;
  }

  #isLost(server: Uint8Array): boolean {
    return this.#sources.returnPaths.isLost(this.#port, server, this.#client);
  }

  #isDead(server: Uint8Array): boolean {
    return this.#sources.returnPaths.isDead(this.#port, server, this.#client);
  }

  #count(loss: SourceLoss, isRefused: boolean, server: Uint8Array | undefined): void {
    if (server === undefined) return;
    this.#sources.count({ port: this.#port, loss, isRefused, client: this.#client, server });
  }

  #advance(): void {
    this.#at++;
    this.#isSourceRefused = false;
  }
}
