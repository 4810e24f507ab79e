/**
 * Holds a command back until the port driver is ready.
 *
 * A small shell takes the command's place. It makes a FIFO and waits on it: the FIFO's reader tells
 * us that the namespaces are complete. A line through it lets the shell replace itself with the
 * command; its end without a line, because we gave up or died, ends the shell with exit code 1.
 *
 * The shell makes the FIFO, because rootlesskit empties its state directory when it starts. The
 * FIFO's path is the shell's $0, so that no variable of it gets into the command's environment.
 */
import { closeSync, constants, existsSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { removeFile } from '../remove-file.js';

const POLL_INTERVAL_MS = 2;

// What `read` would say is that a signal interrupted it, which ends the shell.
// The trap is for a command that can't be executed: rootlesskit's exit code for that is 1 too.
const SCRIPT =
  'mkfifo -m 600 "$0" && { read -r sluice_gate <"$0"; } 2>/dev/null || exit 1; trap "exit 1" EXIT; exec "$@"';

export class Gate {
  readonly #path: string;
  #fd: number | undefined;

  constructor(stateDir: string) {
    this.#path = join(stateDir, `gate.${process.pid}`);
  }

  /** What to run instead of `command`. */
  hold(command: readonly string[]): string[] {
    return ['/bin/sh', '-c', SCRIPT, this.#path, ...command];
  }

  /**
   * Resolves with true once the shell waits at the gate, with false when `isOver` says so first;
   * calls `meanwhile` every few milliseconds.
   */
  async reached(isOver: () => boolean, meanwhile: () => void): Promise<boolean> {
    while (!isOver()) {
      meanwhile();
      // An error takes longer than the question.
      if (existsSync(this.#path) && this.#opens()) return true;
      await sleep(POLL_INTERVAL_MS);
    }
    return false;
  }

  #opens(): boolean {
    try {
      this.#fd = openSync(this.#path, constants.O_WRONLY | constants.O_NONBLOCK);
      unlinkSync(this.#path);
      return true;
    } catch (error) {
      // ENXIO: made, but not yet opened for reading.
      if (isErrno(error, 'ENOENT') || isErrno(error, 'ENXIO')) return false;
      throw error;
    }
  }

  /** Lets the command start. */
  open(): void {
    try {
      if (this.#fd !== undefined) writeSync(this.#fd, 'open\n');
    } catch (error) {
      // The shell was ended meanwhile; its exit code tells.
      if (!isErrno(error, 'EPIPE')) throw error;
    }
    this.close();
  }

  /** Ends the shell, unless the gate was opened before. */
  close(): void {
    if (this.#fd !== undefined) {
      closeSync(this.#fd);
      this.#fd = undefined;
    }
    removeFile(this.#path);
  }
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
