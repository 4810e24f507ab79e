/** One of the two sockets of a connection, and what its edges mean to the pumps beside it. */

import * as linux from '../msg/linux.js';
import type { Pump } from './pump.js';
import type { Handler } from './reactor.js';

const READ_EVENTS =
  linux.EPOLLIN | linux.EPOLLPRI | linux.EPOLLRDHUP | linux.EPOLLHUP | linux.EPOLLERR;
export const EDGES =
  linux.EPOLLIN | linux.EPOLLPRI | linux.EPOLLOUT | linux.EPOLLRDHUP | linux.EPOLLET;
/** The peer has reset the connection, or both ends have closed it. */
export const GONE_EVENTS = linux.EPOLLHUP | linux.EPOLLERR;
export const WRITE_EVENTS = linux.EPOLLOUT | linux.EPOLLHUP | linux.EPOLLERR;
/** Behind the bytes that a recv returns there may be more to learn, without another edge. */
const STOP_EVENTS = linux.EPOLLPRI | linux.EPOLLHUP | linux.EPOLLERR;

interface EdgeTaker {
  onEdge(side: Side, events: number): void;
}

/** What is read from it goes through `out`, what it is sent through `in`. */
export class Side implements Handler {
  fd = -1;
  /** Reset by its peer, timed out or otherwise dead. */
  broken = false;
  /** Its FIN was passed on to the other side. */
  ended = false;
  readonly #flow: EdgeTaker;
  readonly out: Pump;
  readonly in: Pump;

  constructor(flow: EdgeTaker, out: Pump, into: Pump) {
    this.#flow = flow;
    this.out = out;
    this.in = into;
  }

  onEvents(events: number): void {
    if ((events & READ_EVENTS) !== 0) this.out.readable = true;
    if ((events & WRITE_EVENTS) !== 0) this.in.writable = true;
    if ((events & STOP_EVENTS) !== 0) this.out.untilDry = true;
    if ((events & linux.EPOLLRDHUP) !== 0) this.out.hungUp = true;
    this.#flow.onEdge(this, events);
  }
}
