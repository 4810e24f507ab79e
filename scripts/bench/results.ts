/** Prints and stores what was measured, with all that is needed to measure it again. */
import { accessSync, constants, mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SluiceError, messageOf } from '../../src/msg/errors.js';
import { versionLine } from './command.js';
import type { Peer } from './peers/peer.js';
import { goalLines, summaries, table } from './report.js';
import type { Plan, Results } from './rounds.js';
import type { Suite } from './suites/suite.js';

export const RESULTS_FOLDER = fileURLToPath(new URL('../../bench-results', import.meta.url));
const BYTES_PER_GIB = 1024 ** 3;

export interface Setting {
  readonly date: string;
  readonly machine: Record<string, string>;
  /** Of the peers, by name. */
  readonly versions: Record<string, string>;
}

export async function settingOf({ peers }: Plan): Promise<Setting> {
  const processors = cpus();
  const machine = {
    kernel: release(),
    processor: `${processors.length} x ${processors[0]?.model ?? 'unknown'}`,
    memory: `${(totalmem() / BYTES_PER_GIB).toFixed(0)} GiB`,
    node: process.version,
    iperf3: await versionLine(['iperf3', '--version']),
    wrk: await versionLine(['wrk', '--version']),
    nginx: await versionLine(['nginx', '-v']),
  };
  return { date: new Date().toISOString(), machine, versions: await versionsOf(peers) };
}

async function versionsOf(peers: readonly Peer[]): Promise<Record<string, string>> {
  const lines = await Promise.all(peers.map(({ version }) => versionLine(version)));
  return Object.fromEntries(peers.map(({ name }, index) => [name, lines[index] ?? '']));
}

/** To be called before the minutes of measuring. */
export function checkResultsFolder(): void {
  try {
    mkdirSync(RESULTS_FOLDER, { recursive: true });
    accessSync(RESULTS_FOLDER, constants.W_OK);
  } catch (error) {
    const text = `results can't be written to ${RESULTS_FOLDER}: ${messageOf(error)}; chown it`;
    throw new SluiceError('BENCH_RESULTS', text, { cause: error });
  }
}

export function publish(suite: Suite, plan: Plan, setting: Setting, results: Results): void {
  const { peers, rounds, seconds } = plan;
  const summary = summaries(results);
  const metrics = plan.measurements.flatMap((measurement) => measurement.metrics);
  const goals = goalLines(suite, metrics, summary);
  const peerNames = peers.map(({ name }) => name);
  const lines = [
    `${setting.date}, Linux ${setting.machine['kernel']}, ${setting.machine['processor']}`,
    ...peers.map(({ name, description }) => `${name}: ${description}; ${setting.versions[name]}`),
    '',
    table(metrics, peerNames, { summary, texts: results.texts }, suite.baseline),
    '',
    `Medians of ${rounds} interleaved rounds, ${seconds} s each; ± half of the range; ` +
      `(ratio to ${suite.baseline}). ${suite.remark}`,
    ...goals,
  ];
  console.log(`\n${lines.join('\n')}`);
  const file = join(RESULTS_FOLDER, `${suite.name}-${setting.date.replaceAll(':', '-')}.json`);
  const stored = { suite: suite.name, ...setting, rounds, seconds, metrics, summary, goals };
  writeFileSync(file, `${JSON.stringify({ ...stored, ...results }, undefined, 2)}\n`);
  console.log(`written to ${file}`);
}
