/**
 * How a flow reaches its server: which address is tried now, and whether as the client.
 *
 * An attempt that bears the client's address and doesn't work out, because the kernel refuses the
 * address or because replies to it get lost, is repeated without before the next server is tried.
 */

import type { SourceLoss } from '../msg/stats.js';
import { exhaustedBy } from './overload.js';
import { isSourceProblem, withoutPort } from './sockets.js';
import type { SourceAddresses } from './source.js';
import type { Targets, Waiting } from './targets.js';

/** After replies to a client's address got lost, a port's flows do without for so long. */
const PLAIN_MS = 60_000;

/**
 * A new socket that is connected or about to be, from the address `source` if one is given; else
 * the negative errno.
 */
export type ConnectTo = (server: Uint8Array, source?: Uint8Array) => number;

export class Dialling {
  readonly #connectTo: ConnectTo;
  readonly #sources: SourceAddresses;
  readonly #targets: Targets;
  /** As a sockaddr. */
  readonly #client: Uint8Array;
  /** On the clock of performance.now(). */
  readonly startedAt = performance.now();
  #servers: readonly Uint8Array[] = [];
  #at = 0;
  /** Why this attempt doesn't bear the client's address; undefined if it does. */
  #loss: SourceLoss | undefined;
  /** An attempt with the client's address has failed. */
  #isRefused = false;

  constructor(
    connectTo: ConnectTo,
    sources: SourceAddresses,
    targets: Targets,
    client: Uint8Array,
  ) {
    this.#connectTo = connectTo;
    this.#sources = sources;
    this.#targets = targets;
    this.#client = client;
  }

  /** False while the addresses are being asked for: `flow` is called once they are known. */
  isReady(flow: Waiting): boolean {
    const servers = this.#targets.addressesFor(flow);
    if (servers === undefined) return false;
    this.#servers = this.#targets.isDualStack
      ? this.#sources.inOrder(this.#client, servers)
      : servers;
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

  get bearsClient(): boolean {
    return this.#loss === undefined;
  }

  /**
   * The socket of the next attempt that could be started; undefined when there is no address left,
   * a negative errno when there is no fd or memory for a socket.
   */
  next(): number | undefined {
    for (; this.#at < this.#servers.length; this.#advance()) {
      const fd = this.#start(this.#servers[this.#at] as Uint8Array);
      if (fd >= 0 || exhaustedBy(fd) !== undefined) return fd;
    }
    return undefined;
  }

  /** The attempt was refused. */
  refused(): void {
    this.#advance();
  }

  /** The attempt had no answer, perhaps because that went to the client itself. */
  timedOut(): void {
    if (!this.bearsClient) return this.#advance();
    this.#isRefused = true;
    this.#targets.plainUntil = performance.now() + PLAIN_MS;
  }

  /** Counts how it went. */
  connected(): void {
    if (this.#loss === undefined) this.#sources.kept++;
    else this.#sources.lost[this.#loss]++;
  }

  #start(server: Uint8Array): number {
    this.#loss = this.#lossFor(server);
    if (this.#loss !== undefined) return this.#connectTo(server);
    let fd = this.#connectTo(server, this.#client);
    // The client uses its port for another connection of ours: the address matters more.
    if (fd < 0 && isSourceProblem(fd)) fd = this.#connectTo(server, withoutPort(this.#client));
    if (fd >= 0 || !isSourceProblem(fd)) return fd;
    this.#isRefused = true;
    return this.#start(server);
  }

  #lossFor(server: Uint8Array): SourceLoss | undefined {
    const isPlain = this.#isRefused || performance.now() < this.#targets.plainUntil;
    return isPlain ? 'refused' : this.#sources.lossFor(this.#client, server);
  }

  #advance(): void {
    this.#targets.failed(this.#servers[this.#at]);
    this.#at++;
    this.#isRefused = false;
  }
}
