/** Runs the programs that a benchmark is made of, and remembers what was run. */
import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SluiceError, messageOf } from '../../src/msg/errors.js';

const POLL_MS = 20;
/** iperf3 reports every stream and interval: about 100 KiB for eight streams. */
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

export type CommandLine = readonly [string, ...string[]];

/** Resolves with the standard output; `signal` ends the program. */
export function run(
  [file, ...args]: CommandLine,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<string> {
  const options = { timeout: timeoutMs, maxBuffer: MAX_OUTPUT_BYTES, ...(signal && { signal }) };
  return new Promise((resolve, reject) => {
    execFile(file, args, options, (error, stdout, stderr) => {
      if (error === null) {
        resolve(stdout);
        return;
      }
      const why = error.killed === true ? `no end within ${timeoutMs} ms` : error.message;
      const output = [stdout, stderr].map((text) => text.trim().slice(-500)).join('\n');
      reject(
        new SluiceError('BENCH_COMMAND', `'${[file, ...args].join(' ')}': ${why}\n${output}`, {
          cause: error,
        }),
      );
    });
  });
}

/** Polls until `condition` gives a value; rejects with `what` past the deadline. */
export async function waitFor<T>(
  what: string,
  timeoutMs: number,
  condition: () => T | undefined | Promise<T | undefined>,
  signal?: AbortSignal,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    signal?.throwIfAborted();
    const value = await condition();
    if (value !== undefined) {
      return value;
    }
    if (performance.now() > deadline) {
      throw new SluiceError('BENCH_TIMEOUT', `waited ${timeoutMs} ms in vain: ${what}`);
    }
    await sleep(POLL_MS);
  }
}

/** The path of an executable on the PATH. */
export function which(name: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(':')
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The first line with a digit that `command` prints, on either stream, or why there is none. */
export async function versionLine(command: CommandLine): Promise<string> {
  const [file, ...args] = command;
  return new Promise((resolve) => {
    execFile(file, args, { timeout: 5000 }, (error, stdout, stderr) => {
      const lines = `${stdout}\n${stderr}`.split('\n').map((line) => line.trim());
      resolve(lines.find((line) => /\d/.test(line)) ?? messageOf(error));
    });
  });
}
