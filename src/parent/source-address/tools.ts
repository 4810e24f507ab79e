/** Programs of the host, run in the child's user and network namespaces. */

import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { messageOf } from '../../msg/errors.js';
import type { ChildContext } from '../../msg/port.js';
import { nsenterOptions } from '../nsenter.js';

/** Each takes a few milliseconds. The driver is not ready before they are done, or given up. */
const TIME_LIMIT_MS = 5000;

export interface Outcome {
  readonly stdout: string;
  /** What the program wrote to standard error, or why it did not run; undefined on success. */
  readonly failure: string | undefined;
  /** False when the program did not run to its end. */
  readonly hasRun: boolean;
}

export interface RunOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export class Tools {
  readonly #path: string;
  readonly #enter: readonly string[];

  constructor(child: ChildContext, path: string) {
    this.#path = path;
    this.#enter = [...nsenterOptions(child), '--'];
  }

  /** True when `program` is on the path. The child's mount namespace is not entered: ours counts. */
  has(program: string): boolean {
    return this.#path.split(delimiter).some((folder) => {
      try {
        accessSync(join(folder, program), constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
  }

  /** Never rejects. */
  run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const outcome = new Promise<Outcome>((resolve) => {
      const child = execFile(
        'nsenter',
        [...this.#enter, program, ...args],
        {
          env: { ...process.env, ...options.env, PATH: this.#path, LC_ALL: 'C' },
          timeout: TIME_LIMIT_MS,
          killSignal: 'SIGKILL',
        },
        (error, stdout, stderr) => {
          const failure = error === null ? undefined : describe(error, stderr);
          const hasRun = error === null || typeof error.code === 'number';
          resolve({ stdout, failure, hasRun });
        },
      );
      // A program that ends without reading its input says why by its exit code.
      child.stdin?.on('error', () => {}).end(options.input);
    });
    // Where no process can be made, some errnos are thrown.
    return outcome.catch((error: unknown) => ({
      stdout: '',
      failure: messageOf(error),
      hasRun: false,
    }));
  }
}

interface Ended extends Error {
  readonly code?: string | number | null;
  readonly killed?: boolean;
}

function describe({ code, killed, message }: Ended, stderr: string): string {
  if (code === 'ENOENT') return 'nsenter was not found on the PATH; install util-linux';
  if (killed === true) return `not done within ${TIME_LIMIT_MS} ms`;
  return stderr.trim() || (typeof code === 'number' ? `exit code ${code}` : message);
}
