/**
 * What long work is at: one line of stderr that is written over, where that is a terminal. Other
 * output takes its place.
 */

const CLEAR_LINE = '\u001B[K';
const MS_PER_MINUTE = 60_000;

export class Progress implements Disposable {
  readonly #steps: number;
  readonly #startedAt = performance.now();
  #done = 0;

  constructor(steps: number) {
    this.#steps = steps;
  }

  /** The step that begins now. Steps are taken to last equally long. */
  begin(name: string): void {
    const elapsedMs = performance.now() - this.#startedAt;
    const minutes = ((elapsedMs / this.#done) * (this.#steps - this.#done)) / MS_PER_MINUTE;
    const left = this.#done === 0 ? '' : `, ${minutes.toFixed(1)} minutes left`;
    this.#write(`${this.#done + 1}/${this.#steps}: ${name}${left}`);
    this.#done++;
  }

  [Symbol.dispose](): void {
    this.#write('');
  }

  #write(text: string): void {
    if (process.stderr.isTTY) process.stderr.write(`${CLEAR_LINE}${text}\r`);
  }
}
