/**
 * One forwarded connection: the client's socket, the server's socket, a pump each way. What it says
 * of FIN and reset holds for SCTP's SHUTDOWN and ABORT too; the pumps know the differences.
 *
 *   connecting ─► open ─► closed        both directions ended: plain close
 *        │          ├───► resetting ─► closed   one side was reset: the other one is reset too,
 *        │          │                           after it got what was read before
 *        └──────────┴───► closed        refused, or the client left: it is reset
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
import { Connecting, type ConnectingFlow } from './connecting.js';
import { type ConnectTo, Dialling } from './dialling.js';
import { newFlowId, type Observable, type Observed } from './observed.js';
import { EDGES, GONE_EVENTS, Side } from './side.js';
import { resetNow, resetOnClose, shutdownWrite } from './sockets.js';

/** Time for the other side to take what was read before a reset. */
const RESET_GRACE_MS = 500;
/** A flow that moved so much at an edge waits at the next one until those before it had their share. */
const BULK_BYTES = 64 * 1024;

type State = 'connecting' | 'open' | 'resetting' | 'closed';

export class Flow implements Task, Expiring, Observable, ConnectingFlow {
  deadline = 0;
  readonly #id = newFlowId();
  readonly #connections: Connections;
  readonly #port: ListeningPort;
  readonly #client: Side;
  readonly #server: Side;
  #state: State = 'connecting';
  #connecting: Connecting | undefined;
  /** The client's sockaddr, packed. */
  readonly #address: string;
  /** The sockaddr of the server that was dialled last. */
  #dialled: Uint8Array | undefined;
  readonly #acceptedAt: number;
  #activeAt: number;
  #isBulk = false;
  /** The client's socket is in the reactor, which is done at the latest when the flow opens. */
  #isClientWatched = false;
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
    const dialling = new Dialling(connectTo, connections.sources, port, address);
    this.#connecting = new Connecting(this, dialling);
    this.#acceptedAt = ticksAt(dialling.startedAt);
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
    if (this.#state !== 'open') return this.#state === 'connecting' ? 'dialling' : 'draining';
    return this.#client.ended || this.#server.ended ? 'half-closed' : 'open';
  }

  /** The client is reset when no server takes it. */
  connect(): void {
    this.#connecting?.start();
  }

  watchServer(fd: number): number {
    this.#dialled = this.#connecting?.dialling.server;
    this.#server.fd = fd;
    this.wait();
    return this.#connections.reactor.add(fd, EDGES, this.#server);
  }

  wait(): void {
    this.#connections.connecting.set(this);
  }

  hangUp(): void {
    const { connecting, reactor } = this.#connections;
    connecting.clear(this);
    reactor.close(this.#server.fd);
    this.#server.fd = -1;
  }

  /** Not before there is use for it: nothing can be done with its bytes while the flow connects. */
  watchClient(): number {
    if (this.#isClientWatched) return 0;
    this.#isClientWatched = true;
    return this.#connections.reactor.add(this.#client.fd, EDGES, this.#client);
  }

  onEdge(side: Side, events: number): void {
    switch (this.#state) {
      case 'connecting':
        if (side === this.#server) this.#connecting?.onServerEvents(side.fd, events);
        else if ((events & GONE_EVENTS) !== 0) this.abort();
        break;
      case 'open':
        if ((events & linux.EPOLLERR) !== 0) this.#break(side);
        if (this.#isBulk) this.#connections.reactor.queue(this);
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

  /** There is no answer for a while, or it is time to look again whether a reset can be passed on. */
  onDeadline(): void {
    if (this.#state !== 'connecting') return this.#flushAndReset();
    this.#connecting?.onSilent();
  }

  onReturnPath(): void {
    if (this.#state === 'connecting') this.#connecting?.onReturnPath();
  }

  onOpen(wasReset: boolean): void {
    this.#connections.connecting.clear(this);
    const watched = this.watchClient();
    if (watched < 0) return this.onExhausted(watched);
    const { startedAt } = (this.#connecting as Connecting).dialling;
    this.#connecting = undefined;
    this.#port.targets.reached(this.#dialled);
    this.#port.counters.connected(performance.now() - startedAt);
    this.#state = 'open';
    if (wasReset) this.#break(this.#server);
    this.#pumpBoth();
  }

  onRefused(): void {
    const dialling = this.#connecting?.dialling;
    if (dialling?.isWithheld === true) dialling.onWithheld();
    else this.#connections.refused(this.#port, unpackSockAddr(this.#address));
    this.abort();
  }

  /** The newest flow goes, the listener rests, all others go on. */
  onExhausted(error: number): void {
    this.#connections.overloaded(this.#port, error);
    this.abort();
  }

  #pumpBoth(): void {
    this.#activeAt = ticksAt(this.#connections.reactor.now);
    const before = this.bytes;
    this.#pump(this.#client, this.#server);
    if (this.#state === 'open') this.#pump(this.#server, this.#client);
    if (this.#state === 'open' && this.#client.ended && this.#server.ended) this.#close();
    if (this.bytes > before) this.#isBulk = this.bytes - before >= BULK_BYTES;
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
        this.#connections.reactor.queue(this);
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
    this.#connections.reactor.queue(this);
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

  /** Before it was open. A client's fd that is not watched can make room for others at once. */
  abort(): void {
    if (this.#isClientWatched) resetOnClose(this.#client.fd);
    else {
      resetNow(this.#client.fd);
      this.#client.fd = -1;
    }
    this.#close();
  }

  #close(): void {
    const { reactor, connecting, resetting } = this.#connections;
    connecting.clear(this);
    resetting.clear(this);
    this.#state = 'closed';
    for (const side of [this.#client, this.#server]) {
      side.out.release();
      if (side.fd >= 0) reactor.close(side.fd);
    }
    this.#connections.forget(this, this.#port);
  }
}
