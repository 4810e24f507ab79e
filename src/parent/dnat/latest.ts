/**
 * Shares one reading among all who ask at the same time. A reading counts only for those who asked
 * before it started: what is read may have changed since.
 */
export class Latest<T> {
  readonly #read: () => Promise<T>;
  /** The reading that runs, or ran last. */
  #running: Promise<unknown> = Promise.resolve();
  /** Starts when that one ends. */
  #next: Promise<T> | undefined;

  /** `read` must not reject. */
  constructor(read: () => Promise<T>) {
    this.#read = read;
  }

  /** As it is at the time of the call, or later. */
  get(): Promise<T> {
    this.#next ??= this.#running.then(() => {
      const reading = this.#read();
      this.#running = reading;
      this.#next = undefined;
      return reading;
    });
    return this.#next;
  }
}
