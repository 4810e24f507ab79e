/**
 * One forwarded connection: the client's socket, the server's socket, a pump each way. What it says
 * of FIN and reset holds for SCTP's SHUTDOWN and ABORT too; the pumps know the differences.
 *
 *   connecting ─► open ─► closed        both directions ended: plain close
 *        │          ├───► resetting ─► closed   one side was reset: the other one is reset too,
 *        │          │                           after it got what was read before
 *        └──────────┴───► closed        refused by every address, timed out: the client is reset
 *
 * - A FIN is passed on once everything before it was; the other direction goes on.
 * - What was read before a reset gets RESET_GRACE_MS to reach the other side.
 * - A reset is a property of a socket (`broken`), not of a direction: after one, the end of its
 *   stream must not be mistaken for a FIN. SO_ERROR is therefore read while connecting only:
 *   reading it consumes the error, and the recv after it would return 0.
 * - An open flow has no timeout; keepalive probes find clients that vanished.
 * - Most flows are idle, so what each holds is kept small: no object where a number or a string
 *   will do, nothing of the time before it was open.
 * - Edges may come in any state. Handlers only record them and move the state on; fds are closed by
 *   the reactor at the end of the turn.
 */

import type { FlowState } from '../msg/flows.js';
import * as linux from '../msg/linux.js';
import { packSockAddr, unpackSockAddr } from '../msg/sockaddr.js';
import { type Expiring, msUntil, ticksAt, timeOfTicks, wrappedMs } from './deadlines.js';
import type { Task } from './reactor.js';
import type { Connections, ListeningPort } from './connections.js';
import { type ConnectTo, Dialling } from './dialling.js';
import { newFlowId, type Observable, type Observed } from './observed.js';
import { Side, WRITE_EVENTS } from './side.js';
import { connectError, resetNow, resetOnClose, shutdownWrite } from './sockets.js';

const EDGES = linux.EPOLLIN | linux.EPOLLPRI | linux.EPOLLOUT | linux.EPOLLRDHUP | linux.EPOLLET;
/** Time for the other side to take what was read before a reset. */
const RESET_GRACE_MS = 500;
/** A flow that moved so much at an edge waits at the next one until those before it had their share. */
const BULK_BYTES = 64 * 1024;

type State = 'connecting' | 'open' | 'resetting' | 'closed';

export class Flow implements Task, Expiring, Observable {
  deadline = 0;
  readonly #id = newFlowId();
  readonly #connections: Connections;
  readonly #port: ListeningPort;
  readonly #client: Side;
  readonly #server: Side;
  #state: State = 'connecting';
  /** While connecting. */
  #dialling: Dialling | undefined;
  /** The client's sockaddr, packed. */
  readonly #address: string;
  /** The sockaddr of the server that was dialled last. */
  #dialled: Uint8Array | undefined;
  readonly #acceptedAt: number;
  #activeAt: number;
  #isBulk = false;
  #resetAt = 0;

  /** `address` is the client's, as a sockaddr. */
  constructor(
    connections: Connections,
    port: ListeningPort,
    clientFd: number,
    address: Uint8Array,
  ) {
    this.#connections = connections;
    this.#port = port;
    this.#address = packSockAddr(address);
    const connectTo: ConnectTo = (server, source) =>
      connections.connectTo(server, source, clientFd);
    this.#dialling = new Dialling(connectTo, connections.sources, port.targets, address);
    this.#acceptedAt = ticksAt(this.#dialling.startedAt);
    this.#activeAt = this.#acceptedAt;
    const up = connections.newPump(port, port.counters.in);
    const down = connections.newPump(port, port.counters.out);
    this.#client = new Side(this, up, down);
    this.#server = new Side(this, down, up);
    this.#client.fd = clientFd;
  }

  get portId(): number {
    return this.#port.id;
  }

  get bytes(): number {
    return this.#client.out.moved + this.#server.out.moved;
  }

  observe(): Observed {
    const [up, down] = [this.#client.out, this.#server.out];
    const now = performance.now();
    return {
      id: this.#id,
      client: unpackSockAddr(this.#address),
      server: this.#dialled,
      state: this.#shownState,
      startedAt: timeOfTicks(this.#acceptedAt, now),
      activeAt: timeOfTicks(this.#activeAt, now),
      bytesIn: up.moved,
      bytesOut: down.moved,
      packetsIn: up.packets,
      packetsOut: down.packets,
    };
  }

  get #shownState(): FlowState {
    if (this.#state === 'connecting') return 'dialling';
    if (this.#state !== 'open') return 'draining';
    return this.#client.ended || this.#server.ended ? 'half-closed' : 'open';
  }

  /** Dials the port's addresses in turn; the client is reset when none of them takes it. */
  connect(): void {
    const dialling = this.#dialling as Dialling;
    if (dialling.isReady(this)) this.#attempt(dialling);
  }

  #attempt(dialling: Dialling): void {
    const fd = dialling.next();
    if (fd === undefined) {
      this.#connections.refused(this.#port, unpackSockAddr(this.#address));
      return this.#abort();
    }
    this.#dialled = dialling.server;
    if (fd < 0) return this.#shed(fd);
    this.#server.fd = fd;
    const { reactor, connecting, connectingAsClient } = this.#connections;
    const watched = reactor.add(fd, EDGES, this.#server);
    if (watched < 0) return this.#shed(watched);
    (dialling.bearsClient ? connectingAsClient : connecting).set(this);
  }

  onEdge(side: Side, events: number): void {
    switch (this.#state) {
      case 'connecting':
        this.#onConnected(this.#dialling as Dialling, events);
        break;
      case 'open':
        if ((events & linux.EPOLLERR) !== 0) this.#break(side);
        if (this.#isBulk) this.#queue();
        else this.#pumpBoth();
        break;
      case 'resetting':
        this.#flushAndReset();
        break;
      case 'closed':
        break;
      default:
        this.#state satisfies never;
    }
  }

  runShare(): void {
    if (this.#state === 'open') this.#pumpBoth();
  }

  /** The connect took too long, or it is time to look again whether a reset can be passed on. */
  onDeadline(): void {
    if (this.#state !== 'connecting') return this.#flushAndReset();
    const dialling = this.#dialling as Dialling;
    dialling.timedOut();
    this.#attemptAgain(dialling);
  }

  #onConnected(dialling: Dialling, events: number): void {
    if ((events & WRITE_EVENTS) === 0) return;
    this.#connections.connecting.clear(this);
    this.#connections.connectingAsClient.clear(this);
    const failed = (events & (linux.EPOLLERR | linux.EPOLLHUP)) !== 0;
    const error = failed ? connectError(this.#server.fd) : 0;
    // A refused connect is ECONNREFUSED: these come after the server had accepted, and perhaps spoken.
    const wasReset = error === linux.ECONNRESET || error === linux.EPIPE;
    if (error !== 0 && !wasReset) {
      dialling.refused();
      return this.#attemptAgain(dialling);
    }
    // Watched from here on only: before, nothing could have been done with its bytes.
    const watched = this.#connections.reactor.add(this.#client.fd, EDGES, this.#client);
    if (watched < 0) return this.#shed(watched);
    dialling.connected();
    this.#dialling = undefined;
    this.#port.targets.reached(this.#dialled);
    this.#port.counters.connected(performance.now() - dialling.startedAt);
    this.#state = 'open';
    if (wasReset) this.#break(this.#server);
    this.#pumpBoth();
  }

  #attemptAgain(dialling: Dialling): void {
    this.#connections.reactor.close(this.#server.fd);
    this.#server.fd = -1;
    this.#attempt(dialling);
  }

  #pumpBoth(): void {
    this.#activeAt = ticksAt(this.#connections.reactor.now);
    const before = this.bytes;
    this.#pump(this.#client, this.#server);
    if (this.#state === 'open') this.#pump(this.#server, this.#client);
    if (this.#state === 'open' && this.#client.ended && this.#server.ended) this.#close();
    const moved = this.bytes - before;
    if (moved > 0) this.#isBulk = moved >= BULK_BYTES;
  }

  #pump(source: Side, sink: Side): void {
    if (source.ended) {
      if (source.broken) this.#reset(source, sink);
      return;
    }
    const result = source.out.run(source.fd, sink.fd);
    switch (result) {
      case 'waiting':
        break;
      case 'again':
        this.#queue();
        break;
      case 'ended':
        if (source.broken) return this.#reset(source, sink);
        source.ended = true;
        source.out.release();
        if (!sink.ended) shutdownWrite(sink.fd);
        break;
      case 'sourceFailed':
        this.#reset(source, sink);
        break;
      case 'sinkFailed':
        this.#sinkFailed(source, sink);
        break;
      default:
        result satisfies never;
    }
  }

  /** What the broken sink sent before may still be waiting to be read: that goes on to the source. */
  #sinkFailed(source: Side, sink: Side): void {
    this.#break(sink);
    source.ended = true;
    source.out.release();
    if (sink.ended) return this.#reset(sink, source);
    sink.out.readable = true;
    this.#queue();
  }

  #break(side: Side): void {
    if (side.broken) return;
    side.broken = true;
    this.#resetAt = wrappedMs(performance.now() + RESET_GRACE_MS);
    this.#connections.resetting.set(this);
  }

  #reset(broken: Side, other: Side): void {
    this.#break(broken);
    this.#state = 'resetting';
    other.out.release();
    this.#flushAndReset();
  }

  /** Resets the side that is still up, once it has acknowledged all that was read before. */
  #flushAndReset(): void {
    const other = this.#client.broken ? this.#server : this.#client;
    if (msUntil(this.#resetAt, performance.now()) > 0) {
      const isFlushed = this.#state === 'resetting' && other.in.flush(other.fd) !== 'waiting';
      if (!isFlushed || this.#connections.unacknowledged(other.fd) > 0)
        return this.#connections.resetting.set(this);
    }
    resetOnClose(other.fd);
    this.#close();
  }

  #queue(): void {
    this.#connections.reactor.queue(this);
  }

  /** Out of fds or memory: the newest flow goes, the listener rests, all others go on. */
  #shed(error: number): void {
    this.#connections.overloaded(this.#port, error);
    this.#abort();
  }

  /** Before it was open: the client's fd is not watched yet, so it can make room for others at once. */
  #abort(): void {
    resetNow(this.#client.fd);
    this.#client.fd = -1;
    this.#close();
  }

  #close(): void {
    const { reactor, connecting, connectingAsClient, resetting } = this.#connections;
    connecting.clear(this);
    connectingAsClient.clear(this);
    resetting.clear(this);
    this.#state = 'closed';
    for (const side of [this.#client, this.#server]) {
      side.out.release();
      if (side.fd >= 0) reactor.close(side.fd);
    }
    this.#connections.forget(this, this.#port);
  }
}
