/**
 * The agent's one event loop: one epoll set, one thread, nothing that blocks.
 *
 * A turn is: wait; hand each event to the handler of its fd; run what is queued, for a moment;
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
 * An event that comes so soon after the last work is likely to have a successor that does, too: that
 * one is looked for, for as long, before the agent sleeps. In a virtual machine a core that went to
 * sleep takes some 50 µs to come back, which every answer would wait for. Not so streams, which are
 * buffered: to look too soon finds little of them, on a core that their ends could have had. A single
 * core is always left to the flows' ends.
 */
const POLL_MS = availableParallelism() > 1 ? 0.1 : 0;
/**
 * For what is queued, in a turn. Thousands of streams have seconds of work at a time; a request that
 * comes meanwhile, and the parent, wait no longer than this and the one task that exceeds it.
 */
const QUEUE_MS = 1;
/** What epoll_wait takes: 24.8 days. Whoever waits longer is looked at once more then. */
const LONGEST_SLEEP_MS = 2 ** 31 - 1;
/** struct epoll_event, in units of 32 bits. */
const EVENT_WORDS = linux.EPOLL_EVENT_BYTES / 4;
const DATA_WORD = linux.EPOLL_DATA_OFFSET / 4;

export interface Handler {
  /** `events` is the EPOLL* mask. Must not throw. */
  onEvents(events: number): void;
}

/** Something with much to do, a share of it at a time. */
export interface Task {
  runShare(): void;
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
  /** In the order that they asked in. */
  readonly #queue = new Set<Task>();
  readonly #toClose: number[] = [];
  /**
   * Looked at after every full batch: the kernel hands events out in their order, and tens of
   * thousands that are due before its own would take seconds.
   */
  urgent: Handler | undefined;
  #running = false;
  /** When the last work was done: performance.now(). */
  #idleSince = 0;
  #isPolling = false;
  /** When this turn's events came, then when it was done: performance.now(). */
  now = performance.now();

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

  /** Runs `task` once, after all that are queued already. */
  queue(task: Task): void {
    this.#queue.add(task);
  }

  addClock(clock: Clock): void {
    this.#clocks.push(clock);
  }

  /** Blocks until `stop`, which is its end. */
  run(): void {
    this.#running = true;
    while (this.#running) this.#turn();
    libc.close(this.#epfd);
  }

  stop(): void {
    this.#running = false;
  }

  #turn(): void {
    const count = this.#wait();
    for (let index = 0; index < count; index++) {
      const word = index * EVENT_WORDS;
      const fd = this.#words[word + DATA_WORD] as number;
      this.#handlers[fd]?.onEvents(this.#words[word] as number);
    }
    if (count === MAX_EVENTS) this.urgent?.onEvents(linux.EPOLLIN);
    const hadBulk = this.#queue.size > 0;
    if (hadBulk) this.#runQueue();
    this.now = performance.now();
    for (const clock of this.#clocks) clock.expire(this.now);
    for (const fd of this.#toClose) libc.close(fd);
    this.#toClose.length = 0;
    if (hadBulk) this.#idleSince = -Infinity;
    else if (count > 0) this.#idleSince = this.now;
  }

  #runQueue(): void {
    const end = performance.now() + QUEUE_MS;
    // Whoever has more to do asks again, and is not due before the next turn.
    let due = this.#queue.size;
    for (const task of this.#queue) {
      this.#queue.delete(task);
      task.runShare();
      due--;
      if (due === 0 || performance.now() >= end) return;
    }
  }

  /** Returns how many events there are. */
  #wait(): number {
    const hasWork = this.#queue.size > 0;
    const timeoutMs = hasWork || this.#isPolling ? 0 : this.#sleepMs();
    const count = libc.epollWait(this.#epfd, this.#events.address, MAX_EVENTS, timeoutMs);
    this.now = performance.now();
    this.#isPolling = this.now - this.#idleSince < POLL_MS;
    // Whoever else wants this core, such as the end of a flow, goes first.
    if (count === 0 && this.#isPolling && !hasWork) libc.schedYield();
    return count;
  }

  /** Until the next deadline, -1 when there is none. */
  #sleepMs(): number {
    let least = -1;
    for (const clock of this.#clocks) {
      const ms = clock.nextMs(this.now);
      if (ms >= 0 && (least < 0 || ms < least)) least = ms;
    }
    return Math.min(least, LONGEST_SLEEP_MS);
  }

  #ctl(operation: number, fd: number, events: number): number {
    this.#controlWords[0] = events;
    this.#controlWords[DATA_WORD] = fd;
    return libc.epollCtl(this.#epfd, operation, fd, this.#control.address);
  }
}
