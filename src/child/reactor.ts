/**
 * The agent's one event loop: one epoll set, one thread, nothing that blocks.
 *
 * A turn is: wait; hand each event to the handler of its fd; run what asked to be run again;
 * expire deadlines; close what was given up. Closing comes last because an event later in the
 * same batch may still name the fd: a closed number would be reused by the next accept and the
 * event would reach the wrong handler.
 *
 * Sockets of flows are edge-triggered: their interest never changes, so a flow costs one epoll_ctl
 * per socket and no more. The price: whoever gets an edge must remember it until the socket says
 * EAGAIN. Listeners and the control channel are level-triggered.
 */

import { availableParallelism } from 'node:os';
import { must } from '../msg/fd.js';
import * as libc from '../msg/libc.js';
import * as linux from '../msg/linux.js';

const MAX_EVENTS = 256;
/**
 * How long `stayAwake` lasts. In a virtual machine a core that went to sleep takes some 50 µs to
 * come back, and a fast stream would wait for that after every buffer. A single core is left to the
 * stream's other end.
 */
const AWAKE_MS = availableParallelism() > 1 ? 0.1 : 0;
/** struct epoll_event, in units of 32 bits. */
const EVENT_WORDS = linux.EPOLL_EVENT_BYTES / 4;
const DATA_WORD = linux.EPOLL_DATA_OFFSET / 4;

export interface Handler {
  /** `events` is the EPOLL* mask. Must not throw. */
  onEvents(events: number): void;
}

/** Something that used up its share of a turn and has more to do. */
export interface Task {
  runAgain(): void;
}

/** Looked at once a turn. */
export interface Clock {
  /** Milliseconds until the next deadline, -1 when there is none. */
  nextMs(now: number): number;
  expire(now: number): void;
}

export class Reactor {
  readonly #epfd = must(libc.epollCreate1(linux.EPOLL_CLOEXEC), 'epoll_create1');
  readonly #events = libc.allocate(MAX_EVENTS * EVENT_WORDS * 4);
  readonly #words = new Int32Array(this.#events.view.buffer);
  readonly #control = libc.allocate(EVENT_WORDS * 4);
  readonly #controlWords = new Int32Array(this.#control.view.buffer);
  readonly #handlers: (Handler | undefined)[] = [];
  readonly #clocks: Clock[] = [];
  #again: Task[] = [];
  readonly #toClose: number[] = [];
  #running = false;
  #awakeUntil = 0;

  /** Starts watching. Returns the negative errno when the kernel is out of memory or watches. */
  add(fd: number, events: number, handler: Handler): number {
    const result = this.#ctl(linux.EPOLL_CTL_ADD, fd, events);
    if (result === 0) this.#handlers[fd] = handler;
    return result;
  }

  modify(fd: number, events: number): void {
    this.#ctl(linux.EPOLL_CTL_MOD, fd, events);
  }

  /** Needed before closing an fd that other processes share: epoll watches the open file, not the fd. */
  remove(fd: number): void {
    this.#handlers[fd] = undefined;
    this.#ctl(linux.EPOLL_CTL_DEL, fd, 0);
  }

  /** No more events for `fd` from now on; it is closed at the end of the turn. */
  close(fd: number): void {
    this.#handlers[fd] = undefined;
    this.#toClose.push(fd);
  }

  /** Runs `task` in the next turn, after the events that are due then. */
  again(task: Task): void {
    this.#again.push(task);
  }

  /** The next event is likely to come at once: looking for it is faster than being woken. */
  stayAwake(): void {
    this.#awakeUntil = performance.now() + AWAKE_MS;
  }

  addClock(clock: Clock): void {
    this.#clocks.push(clock);
  }

  /** Blocks until `stop`. */
  run(): void {
    this.#running = true;
    while (this.#running) this.#turn();
  }

  stop(): void {
    this.#running = false;
  }

  #turn(): void {
    const count = libc.epollWait(this.#epfd, this.#events.address, MAX_EVENTS, this.#timeoutMs());
    for (let index = 0; index < count; index++) {
      const word = index * EVENT_WORDS;
      const fd = this.#words[word + DATA_WORD] as number;
      this.#handlers[fd]?.onEvents(this.#words[word] as number);
    }
    if (this.#again.length > 0) {
      const tasks = this.#again;
      this.#again = [];
      for (const task of tasks) task.runAgain();
    }
    const now = performance.now();
    for (const clock of this.#clocks) clock.expire(now);
    for (const fd of this.#toClose) libc.close(fd);
    this.#toClose.length = 0;
  }

  #timeoutMs(): number {
    if (this.#again.length > 0) return 0;
    const now = performance.now();
    if (now < this.#awakeUntil) return 0;
    let least = -1;
    for (const clock of this.#clocks) {
      const ms = clock.nextMs(now);
      if (ms >= 0 && (least < 0 || ms < least)) least = ms;
    }
    return least;
  }

  #ctl(operation: number, fd: number, events: number): number {
    this.#controlWords[0] = events;
    this.#controlWords[DATA_WORD] = fd;
    return libc.epollCtl(this.#epfd, operation, fd, this.#control.address);
  }
}
