/** Ownership of file descriptors: an `Fd` is closed exactly once, by whoever holds it last. */

import { getSystemErrorName } from 'node:util';
import { SluiceError } from './errors.js';
import * as libc from './libc.js';

export class Fd implements Disposable {
  #number: number;

  constructor(number: number) {
    this.#number = number;
  }

  /** The descriptor's number, for a system call. Throws once it was closed or given away. */
  get number(): number {
    if (this.#number < 0) throw new Error('use of a file descriptor that was closed');
    return this.#number;
  }

  get isOpen(): boolean {
    return this.#number >= 0;
  }

  /** Moves the ownership to the caller; this object is closed from now on. */
  release(): number {
    const number = this.number;
    this.#number = -1;
    return number;
  }

  /** Closing twice is allowed and does nothing. */
  close(): void {
    if (this.#number < 0) return;
    libc.close(this.#number);
    this.#number = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** `EADDRINUSE` for -98 and so on. */
export function errnoName(negative: number): string {
  return getSystemErrorName(negative);
}

/** For calls that fail only when the system is out of something: throws a SluiceError with `what`. */
export function must(result: number, what: string): number {
  if (result >= 0) return result;
  const name = errnoName(result);
  throw new SluiceError(name, `${what} failed: ${name}`);
}
