/** A whole terminal for as long as it is open: lines out, keys in. Whatever ends us, it is put back. */
import type { ReadStream, WriteStream } from 'node:tty';

const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
/** An escape sequence, or one character. */
const KEYS = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*[A-Za-z]|[^]`, 'gu');

export class Screen implements Disposable {
  readonly #input: ReadStream;
  readonly #output: WriteStream;
  readonly #close = () => this[Symbol.dispose]();
  #isOpen = true;

  constructor(input: ReadStream, output: WriteStream, onKey: (key: string) => void) {
    this.#input = input;
    this.#output = output;
    output.write(ENTER);
    process.once('exit', this.#close);
    if (!input.isTTY) return;
    input.setRawMode(true);
    input.setEncoding('utf8').on('data', (text: string) => {
      for (const [key] of text.matchAll(KEYS)) onKey(key);
    });
  }

  get size(): { readonly columns: number; readonly rows: number } {
    // A terminal that doesn't know its size has that of all terminals.
    const { columns, rows } = this.#output;
    return { columns: columns || 80, rows: rows || 24 };
  }

  draw(lines: readonly string[]): void {
    const text = lines.map((line) => `${line}\x1b[K`).join('\r\n');
    if (this.#isOpen) this.#output.write(`\x1b[H${text}\x1b[J`);
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    process.off('exit', this.#close);
    if (this.#input.isTTY) this.#input.setRawMode(false);
    this.#input.pause();
    this.#output.write(LEAVE);
  }
}
