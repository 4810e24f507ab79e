/**
 * Readiness of file descriptors that are ours and not libuv's, for the parent's event loop.
 *
 * One poll(2) waits on a thread of libuv's pool for an epoll set, so it takes one thread however
 * many fds there are. epoll_ctl may be called meanwhile: the kernel wakes the wait by itself.
 * Node joins that thread when it exits, so the wait must end first: without watchers, and at
 * `exit`, a socket whose peer is closed goes into the set, and it is always ready.
 */

import { socketPair } from '../msg/channel.js';
import { Fd, must } from '../msg/fd.js';
import * as libc from '../msg/libc.js';
import * as linux from '../msg/linux.js';

const MAX_EVENTS = 64;
const POLLIN = 1;
const NO_TIME_LIMIT = -1;

/** Gets the EPOLL* mask. */
export type Watcher = (events: number) => void;

export class Poller {
  readonly #epoll = new Fd(must(libc.epollCreate1(linux.EPOLL_CLOEXEC), 'epoll_create1'));
  readonly #memory = libc.allocate(MAX_EVENTS * linux.EPOLL_EVENT_BYTES);
  readonly #pollfd = libc.allocate(8);
  readonly #control = libc.allocate(linux.EPOLL_EVENT_BYTES);
  readonly #alarm: Fd;
  readonly #watchers = new Map<number, Watcher>();
  readonly #onExit = () => this.#ring();
  #waiting: Promise<void> | undefined;

  constructor() {
    const [alarm, peer] = socketPair();
    peer.close();
    this.#alarm = alarm;
    this.#pollfd.view.setInt32(0, this.#epoll.number, true);
    this.#pollfd.view.setInt16(4, POLLIN, true);
    process.once('exit', this.#onExit);
  }

  /** Calls `watcher` whenever one of `events` is pending (level-triggered). */
  add(fd: number, events: number, watcher: Watcher): void {
    must(this.#ctl(linux.EPOLL_CTL_ADD, fd, events), 'epoll_ctl');
    this.#watchers.set(fd, watcher);
    this.#waiting ??= this.#wait();
  }

  modify(fd: number, events: number): void {
    must(this.#ctl(linux.EPOLL_CTL_MOD, fd, events), 'epoll_ctl');
  }

  /** Call before the fd is closed. */
  remove(fd: number): void {
    if (!this.#watchers.delete(fd)) return;
    this.#ctl(linux.EPOLL_CTL_DEL, fd, 0);
    if (this.#watchers.size === 0) this.#ring();
  }

  /** Resolves once its thread is free and its own fds are closed. Use it no more after that. */
  async close(): Promise<void> {
    if (!this.#epoll.isOpen) return;
    process.off('exit', this.#onExit);
    this.#watchers.clear();
    this.#ring();
    await this.#waiting;
    this.#alarm.close();
    this.#epoll.close();
  }

  /** Never rejects: `dispatch` leaves errors to the watchers, poll has none but EINTR. */
  async #wait(): Promise<void> {
    while (this.#watchers.size > 0) {
      await libc.pollAsync(this.#pollfd.address, 1, NO_TIME_LIMIT);
      this.#ctl(linux.EPOLL_CTL_DEL, this.#alarm.number, 0);
      this.#dispatch();
    }
    this.#waiting = undefined;
  }

  #dispatch(): void {
    const count = libc.epollWait(this.#epoll.number, this.#memory.address, MAX_EVENTS, 0);
    for (let at = 0; at < count * linux.EPOLL_EVENT_BYTES; at += linux.EPOLL_EVENT_BYTES) {
      const events = this.#memory.view.getInt32(at, true);
      this.#watchers.get(this.#memory.view.getInt32(at + linux.EPOLL_DATA_OFFSET, true))?.(events);
    }
  }

  #ring(): void {
    this.#ctl(linux.EPOLL_CTL_ADD, this.#alarm.number, linux.EPOLLIN);
  }

  #ctl(operation: number, fd: number, events: number): number {
    this.#control.view.setInt32(0, events, true);
    this.#control.view.setInt32(linux.EPOLL_DATA_OFFSET, fd, true);
    return libc.epollCtl(this.#epoll.number, operation, fd, this.#control.address);
  }
}
