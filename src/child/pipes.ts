/**
 * The pool of pipes that splice moves bytes through.
 *
 * The kernel charges pipes to the user, not the process: `pipe-user-pages-soft` pages over all of
 * the user's pipes, past which new ones shrink to two slots and stop being worth it. The pool takes
 * at most a quarter of that, shared with other agents, and only keeps pipes of full size; without
 * one, a flow goes on copying.
 */

import { readFileSync } from 'node:fs';
import * as libc from '../msg/libc.js';
import * as linux from '../msg/linux.js';

const PAGE_BYTES = 4096;
export const PIPE_BYTES = 256 * 1024;
const QUOTA_FILE = '/proc/sys/fs/pipe-user-pages-soft';
const DEFAULT_QUOTA_PAGES = 16384;
const QUOTA_SHARE = 1 / 4;
const RETRY_MS = 100;

export interface Pipe {
  readonly readEnd: number;
  readonly writeEnd: number;
  /** Bytes that it holds now. */
  bytes: number;
}

export class PipePool {
  readonly #idle: Pipe[] = [];
  readonly #quota: number;
  #limit: number;
  readonly #scratch = libc.allocate(8);
  #made = 0;
  #retryAt = 0;

  constructor(quota = defaultQuota()) {
    this.#quota = quota;
    this.#limit = quota;
  }

  /** With how many agents, this one included. Pipes that are more already stay. */
  shareAmong(agents: number): void {
    this.#limit = Math.floor(this.#quota / agents);
  }

  /** Pipes that exist now, idle ones included. */
  get size(): number {
    return this.#made;
  }

  /** An empty pipe, or undefined when the share of the quota is used up. */
  take(): Pipe | undefined {
    const idle = this.#idle.pop();
    if (idle !== undefined || this.#made >= this.#limit) return idle;
    return performance.now() < this.#retryAt ? undefined : this.#make();
  }

  /** Takes a pipe back. One that still holds bytes of a broken flow is closed. */
  give(pipe: Pipe): void {
    if (pipe.bytes === 0) this.#idle.push(pipe);
    else this.#close(pipe);
  }

  #make(): Pipe | undefined {
    const flags = linux.O_NONBLOCK | linux.O_CLOEXEC;
    if (libc.pipe2(this.#scratch.address, flags) < 0) return this.#later();
    const pipe = {
      readEnd: this.#scratch.view.getInt32(0, true),
      writeEnd: this.#scratch.view.getInt32(4, true),
      bytes: 0,
    };
    this.#made++;
    if (libc.fcntl(pipe.writeEnd, linux.F_SETPIPE_SZ, PIPE_BYTES) >= PIPE_BYTES) return pipe;
    this.#close(pipe);
    return this.#later();
  }

  /** The user's other programs have the rest of the quota, for the time being. */
  #later(): undefined {
    this.#retryAt = performance.now() + RETRY_MS;
    return undefined;
  }

  #close(pipe: Pipe): void {
    libc.close(pipe.readEnd);
    libc.close(pipe.writeEnd);
    this.#made--;
  }
}

function defaultQuota(): number {
  let quotaPages = DEFAULT_QUOTA_PAGES;
  try {
    quotaPages = Number.parseInt(readFileSync(QUOTA_FILE, 'utf8'), 10);
  } catch {
    // Hidden in some containers: the kernel's default stands.
  }
  // 0 means no limit; then the default is as good a measure as any.
  const pages = quotaPages > 0 ? quotaPages : DEFAULT_QUOTA_PAGES;
  return Math.floor((pages * QUOTA_SHARE * PAGE_BYTES) / PIPE_BYTES);
}
