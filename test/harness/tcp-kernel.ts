/** Epoll sets and pipes of a test's own, for tests of the kernel itself. */
import { arch } from 'node:os';
import { Fd, must } from '../../dist/msg/fd.js';
import * as libc from '../../dist/msg/libc.js';
import * as linux from '../../dist/msg/linux.js';
import type { Cleanup } from './cleanup.js';
import type { KernelSocket } from './socket.js';
import { until } from './wait.js';

const DEADLINE_MS = 10_000;
const SPLICE_FLAGS = linux.SPLICE_F_MOVE | linux.SPLICE_F_NONBLOCK;
/** struct epoll_event is packed on x86-64 only. */
const DATA_OFFSET = arch() === 'x64' ? 4 : 8;
const scratch = libc.allocate(64);

/** An epoll set of one socket. */
export class KernelPoll {
  readonly #epoll: Fd;

  constructor(cleanup: Cleanup) {
    this.#epoll = new Fd(must(libc.epollCreate1(linux.EPOLL_CLOEXEC), 'epoll_create1'));
    cleanup.defer(() => this.#epoll.close());
  }

  add({ fd }: KernelSocket, events: number): void {
    scratch.view.setInt32(0, events, true);
    scratch.view.setInt32(DATA_OFFSET, fd, true);
    const { address } = scratch;
    must(libc.epollCtl(this.#epoll.number, linux.EPOLL_CTL_ADD, fd, address), 'epoll_ctl');
  }

  /** The events that are pending; 0 when there are none. */
  poll(): number {
    const count = must(libc.epollWait(this.#epoll.number, scratch.address, 1, 0), 'epoll_wait');
    return count === 0 ? 0 : scratch.view.getInt32(0, true);
  }

  /** The next events that come. */
  next(): Promise<number> {
    return until(() => this.poll(), DEADLINE_MS, 'an event');
  }
}

/** Waits for bytes to read, or for a connection to accept. */
export async function readable(cleanup: Cleanup, socket: KernelSocket): Promise<void> {
  const poll = new KernelPoll(cleanup);
  poll.add(socket, linux.EPOLLIN);
  await poll.next();
}

export class KernelPipe {
  readonly #readEnd: Fd;
  readonly #writeEnd: Fd;
  #bytes = 0;

  constructor(cleanup: Cleanup) {
    must(libc.pipe2(scratch.address, linux.O_NONBLOCK | linux.O_CLOEXEC), 'pipe2');
    this.#readEnd = new Fd(scratch.view.getInt32(0, true));
    this.#writeEnd = new Fd(scratch.view.getInt32(4, true));
    cleanup.defer(() => this.close());
  }

  /** The size that it has now, or the negative errno. */
  resize(bytes: number): number {
    return libc.fcntl(this.#writeEnd.number, linux.F_SETPIPE_SZ, bytes);
  }

  /** Splices as much as there is. Returns the number of bytes, or the negative errno. */
  fillFrom({ fd }: KernelSocket): number {
    const filled = libc.splice(fd, this.#writeEnd.number, 64 * 1024, SPLICE_FLAGS);
    this.#bytes += Math.max(0, filled);
    return filled;
  }

  drainTo({ fd }: KernelSocket): number {
    return libc.splice(this.#readEnd.number, fd, this.#bytes, SPLICE_FLAGS);
  }

  close(): void {
    this.#readEnd.close();
    this.#writeEnd.close();
  }
}
