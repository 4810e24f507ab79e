/**
 * System calls of the forwarders, counted by strace while one load after the other runs. That slows
 * them down, so no time is taken meanwhile; and a slow forwarder finds more to do at once.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SluiceError } from '../../../src/msg/errors.js';
import { waitFor } from '../command.js';
import type { RunningPeer } from '../peers/peer.js';
import { transfer } from './iperf.js';
import type { MeasureContext, Measurement } from './measurement.js';
import { CONNECTION_CLOSE, wrk } from './wrk.js';

const ATTACH_TIMEOUT_MS = 10_000;
const MB_PER_GB = 1000;

export const syscalls: Measurement = {
  name: 'syscalls',
  once: true,
  metrics: [
    { id: 'syscallsIn', label: 'system calls, one stream in', unit: '/MB', better: 'less' },
    { id: 'syscallsOut', label: 'system calls, one stream out', unit: '/MB', better: 'less' },
    { id: 'syscallsConnection', label: 'system calls, a connection', unit: 'each', better: 'less' },
    { id: 'syscallsRequest', label: 'system calls, a request', unit: 'each', better: 'less' },
  ],
  async take(peer, context) {
    if (peer.forwarders().length === 0 || peer.hidden === true) return {};
    const megabytes = async (options: readonly string[]) =>
      (await transfer(peer, context, 1, options)).gigabytes * MB_PER_GB;
    const answers = async (options: readonly string[]) => (await wrk(peer, context, options)).count;
    return {
      syscallsIn: await callsPerUnit(peer, context, () => megabytes([])),
      syscallsOut: await callsPerUnit(peer, context, () => megabytes(['--reverse'])),
      syscallsConnection: await callsPerUnit(peer, context, () => answers(CONNECTION_CLOSE)),
      syscallsRequest: await callsPerUnit(peer, context, () => answers([])),
    };
  },
};

/** `work` resolves with the number of units that it did. */
async function callsPerUnit(
  peer: RunningPeer,
  { folder, signal }: MeasureContext,
  work: () => Promise<number>,
): Promise<number> {
  const report = join(folder, 'strace');
  const pids = peer.forwarders();
  const options = ['-f', '-c', '-U', 'calls,name', '-o', report];
  const targets = pids.flatMap((pid) => ['-p', `${pid}`]);
  const strace = spawn('strace', [...options, ...targets], {
    stdio: ['ignore', 'ignore', 'pipe'],
    signal,
  });
  strace.on('error', () => undefined);
  let said = '';
  strace.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const ended = once(strace, 'exit');
  try {
    await waitFor('strace is attached', ATTACH_TIMEOUT_MS, () => attached(said, pids), signal);
    const units = await work();
    strace.kill('SIGINT');
    await ended;
    return totalOf(readFileSync(report, 'utf8')) / units;
  } finally {
    strace.kill('SIGINT');
    await ended;
  }
}

/** It says so for each process; one that has ended meanwhile needs no watching. */
function attached(said: string, pids: readonly number[]): true | undefined {
  const refusal = /^strace: attach: .*not permitted$/m.exec(said)?.[0];
  if (refusal !== undefined) throw new SluiceError('BENCH_STRACE', refusal);
  const isDone = (pid: number) =>
    new RegExp(`Process ${pid} attached|, ${pid}\\): No such process`).test(said);
  return pids.every(isDone) ? true : undefined;
}

/** Of the summary's last line; a summary of nothing is empty. */
function totalOf(summary: string): number {
  return Number(/^\s*(\d+) total$/m.exec(summary)?.[1] ?? 0);
}
