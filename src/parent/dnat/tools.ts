/** Programs run in the child namespaces for what they print. */

import { type ExecFileException, execFile } from 'node:child_process';
import { promises as fs } from 'node:fs';
import { SluiceError } from '../../msg/errors.js';
import type { ChildContext } from '../../msg/port.js';
import { nsenterOptions } from '../nsenter.js';

export interface Finished {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Rejects with ERR_DNAT_TOOL where there is no output to speak of. */
export type Run = (command: readonly string[]) => Promise<Finished>;

/** nsenter's exit code for a program that is not there: EX_EXEC_ENOENT of util-linux. */
export const NOT_FOUND = 127;

/** Some thousands of published ports. */
const MAX_OUTPUT_BYTES = 8 * 1024 * 1024;

/**
 * Listing needs no lock: libiptc takes a snapshot, and another if the rules changed meanwhile. The
 * engine's own lock is left alone, since an engine that doesn't wait for it would fail. Every
 * process has this file, and may open and lock it.
 */
const XTABLES_LOCKFILE = '/proc/self/comm';

/** Every program is killed at the same time, `timeLimitMs` from now. */
export async function runnerIn(
  child: ChildContext,
  path: string,
  timeLimitMs: number,
): Promise<Run> {
  const deadline = performance.now() + timeLimitMs;
  const enter = await enterCommand(child);
  return ([program = '', ...args]) =>
    new Promise((resolve, reject) => {
      const options = {
        encoding: 'utf8',
        env: { PATH: path, LC_ALL: 'C', XTABLES_LOCKFILE },
        maxBuffer: MAX_OUTPUT_BYTES,
        timeout: Math.max(1, Math.ceil(deadline - performance.now())),
        killSignal: 'SIGKILL',
      } as const;
      execFile('nsenter', [...enter, program, ...args], options, (error, stdout, stderr) => {
        const exitCode = error?.code ?? 0;
        if (typeof exitCode === 'number' && !error?.killed) resolve({ exitCode, stdout, stderr });
        else reject(new SluiceError('ERR_DNAT_TOOL', explain(program, error, timeLimitMs)));
      });
    });
}

async function enterCommand(child: ChildContext): Promise<string[]> {
  return [
    ...nsenterOptions(child),
    // The engine's programs are found where the engine finds them.
    ...((await hasOwnMounts(child.pid)) ? [`--mount=/proc/${child.pid}/ns/mnt`] : []),
    '--',
  ];
}

/** Of a process that is gone this says no, and nsenter says the rest. */
async function hasOwnMounts(pid: number): Promise<boolean> {
  const theirs = await mountNamespace(pid).catch(() => undefined);
  return theirs !== undefined && theirs !== (await mountNamespace('self'));
}

function mountNamespace(process: number | 'self'): Promise<string> {
  return fs.readlink(`/proc/${process}/ns/mnt`);
}

function explain(program: string, error: ExecFileException | null, timeLimitMs: number): string {
  if (error?.code === 'ENOENT') return 'nsenter was not found on the PATH; install util-linux';
  if (error?.code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') {
    return `${program} printed more than ${MAX_OUTPUT_BYTES} bytes`;
  }
  if (error?.killed) return `${program} did not end within ${timeLimitMs} ms`;
  return `${program} was ended by ${error?.signal ?? error?.code}`;
}
