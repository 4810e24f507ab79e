/**
 * Receives what clients send to one host socket, a batch at a time, and hands each session its
 * datagrams of the batch together.
 *
 * Level-triggered: one batch a turn, and what is left wakes the next turn, after all others had
 * theirs. The socket is not connected and has no IP_RECVERR, so that it never reports the ICMP
 * errors of clients that are gone.
 */

import { SluiceError } from '../../msg/errors.js';
import { type Fd, must } from '../../msg/fd.js';
import * as linux from '../../msg/linux.js';
import type { Handler } from '../reactor.js';
import { newKey, readKey } from './address.js';
import type { UdpForwarder } from './forwarder.js';
import { type Family, IPV4, IPV6 } from './layout.js';
import type { UdpPort } from './port.js';
import { Session } from './session.js';
import { familyOfDatagrams, queueDrops } from './sockets.js';
import { isSame, SessionTable } from './table.js';

export class Listener implements Handler {
  readonly family: Family;
  readonly #forwarder: UdpForwarder;
  readonly #port: UdpPort;
  readonly #socket: Fd;
  readonly #table = new SessionTable<Session>();
  readonly #key: Int32Array;
  /** Datagrams of one client often come in a row. */
  #last: Session | undefined;
  /** Those with datagrams in this batch. */
  readonly #touched: Session[] = [];

  /** Throws for anything but a UDP socket. */
  constructor(forwarder: UdpForwarder, port: UdpPort, socket: Fd) {
    const family = familyOfDatagrams(socket.number);
    if (family !== linux.AF_INET && family !== linux.AF_INET6) {
      throw new SluiceError('ERR_LISTENER', `the socket given for port ${port.id} is no UDP one`);
    }
    this.family = family === linux.AF_INET ? IPV4 : IPV6;
    this.#forwarder = forwarder;
    this.#port = port;
    this.#socket = socket;
    this.#key = newKey(this.family);
    must(forwarder.reactor.add(socket.number, linux.EPOLLIN, this), 'epoll_ctl');
  }

  get fd(): number {
    return this.#socket.number;
  }

  get queueDrops(): number {
    return queueDrops(this.#socket.number);
  }

  get sessions(): readonly Session[] {
    return this.#table.values();
  }

  onEvents(): void {
    const { inbox } = this.#forwarder;
    const count = inbox.receive(this.#socket.number);
    for (let slot = 0; slot < count; slot++) this.#sort(slot);
    for (const session of this.#touched) session.forward();
    this.#touched.length = 0;
  }

  forget(session: Session): void {
    this.#table.delete(session);
    if (this.#last === session) this.#last = undefined;
  }

  /** At once, not at the end of the turn: whoever asked may bind the address as soon as it hears. */
  close(): void {
    for (const session of this.sessions) session.close();
    this.#forwarder.drop(this.#port, 'queueFull', this.queueDrops);
    this.#forwarder.reactor.remove(this.#socket.number);
    this.#socket.close();
  }

  #sort(slot: number): void {
    readKey(this.#key, this.#forwarder.inbox, slot);
    const session = this.#find() ?? this.#open();
    if (session === undefined) return this.#forwarder.dropSlot(this.#port, 'tableFull', slot);
    if (session.push(slot)) this.#touched.push(session);
  }

  #find(): Session | undefined {
    if (this.#last !== undefined && isSame(this.#last.key, this.#key)) return this.#last;
    const session = this.#table.find(this.#key);
    if (session !== undefined) this.#last = session;
    return session;
  }

  /** Undefined when there is no room for another session. */
  #open(): Session | undefined {
    if (!this.#forwarder.admit(this.#port, this.#key)) return undefined;
    const session = new Session(this.#forwarder, this.#port, this, this.#key.slice());
    this.#table.add(session);
    this.#last = session;
    return session;
  }
}
