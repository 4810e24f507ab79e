/** The echo servers and the load on them, as processes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { SluiceError } from '../../../src/msg/errors.js';
import type { Cleanup } from '../../../test/harness/cleanup.js';

/** Put in front of the command line of what is not to keep the rest from running. */
export const BEHIND = [
  'sh',
  fileURLToPath(new URL('../inside/behind.sh', import.meta.url)),
] as const;

/** A line of soak-load.mjs. */
export interface Progress {
  readonly bytes: number;
  readonly connections: number;
  readonly datagrams: number;
  readonly lost: number;
  readonly failed: Readonly<Record<string, number>>;
  readonly stallMs: number;
}

export interface EchoPorts {
  readonly tcp: number;
  readonly udp: number;
}

/** `enter` is put in front of the command line. */
export async function startEcho(cleanup: Cleanup, enter: readonly string[]): Promise<EchoPorts> {
  const { lines, ended } = startInside(cleanup, enter, 'soak-servers.mjs', []);
  const [line] = (await Promise.race([once(lines, 'line'), ended])) as [string] | [];
  if (line === undefined) throw new SluiceError('BENCH_SOAK', 'the echo servers did not start');
  return JSON.parse(line) as EchoPorts;
}

/** How many of each, at a time. */
export interface Ways {
  readonly streams?: number;
  readonly trips?: number;
  readonly connectors?: number;
  readonly sessions?: number;
}

/** Returns a function that ends the load, and rejects where it has ended before. */
export function startLoad(
  cleanup: Cleanup,
  enter: readonly string[],
  ways: Ways & EchoPorts,
  onProgress: (progress: Progress) => void,
): () => Promise<void> {
  const { lines, end } = startInside(cleanup, enter, 'soak-load.mjs', [JSON.stringify(ways)]);
  lines.on('line', (line) => onProgress(JSON.parse(line) as Progress));
  return end;
}

/** It ends with its standard input, and with us. */
function startInside(
  cleanup: Cleanup,
  enter: readonly string[],
  script: string,
  args: readonly string[],
) {
  const path = fileURLToPath(new URL(`../inside/${script}`, import.meta.url));
  const [file = '', ...words] = [...enter, process.execPath, path, ...args];
  // A session of its own: see behind.sh.
  const child = spawn(file, words, { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
  const lines = createInterface({ input: child.stdout });
  const ended = once(lines, 'close') as Promise<[]>;
  const end = async () => {
    const how = child.signalCode ?? child.exitCode;
    child.stdin.end();
    await ended;
    if (how !== null) throw new SluiceError('BENCH_SOAK', `${script} ended too soon: ${how}`);
  };
  // Nothing listens to a pipe whose reader is gone.
  child.stdin.on('error', () => {});
  cleanup.defer(() => end().catch(() => {}));
  return { lines, ended, end };
}
