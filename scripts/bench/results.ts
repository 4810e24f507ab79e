/** Prints and stores what was measured, with all that is needed to measure it again. */
import { accessSync, constants, mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SluiceError, messageOf } from '../../src/msg/errors.js';
import { versionLine } from './command.js';
import { goalLines } from './goals.js';
import { markdownOf } from './markdown.js';
import type { Peer } from './peers/peer.js';
import { ROOTLESSKIT } from './peers/rootlesskit.js';
import { drawAll } from './plots/draw.js';
import { summaries, table } from './report.js';
import type { Plan, Results } from './rounds.js';
import type { Suite } from './suites/suite.js';

export const RESULTS_FOLDER = fileURLToPath(new URL('../../bench-results', import.meta.url));
const BYTES_PER_GIB = 1024 ** 3;

export interface Setting {
  readonly date: string;
  /** That measures it again. */
  readonly command: string;
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
    rootlesskit: await versionLine([ROOTLESSKIT, '--version']),
  };
  return {
    date: new Date().toISOString(),
    command: commandLine(),
    machine,
    versions: await versionsOf(peers),
  };
}

function commandLine(): string {
  const variable = process.env['SLUICE_BENCH_ROOTLESSKIT'];
  const prefix = variable === undefined ? '' : `SLUICE_BENCH_ROOTLESSKIT=${variable} `;
  return `${prefix}npm run bench -- ${process.argv.slice(2).join(' ')}`;
}

async function versionsOf(peers: readonly Peer[]): Promise<Record<string, string>> {
  const lines = await Promise.all(peers.map(({ version }) => versionLine(version)));
  return Object.fromEntries(peers.map(({ name }, index) => [name, lines[index] ?? '']));
}

/** A folder for each run, where the caller names none. */
export function defaultFolder(suite: Suite): string {
  const date = new Date().toISOString().replaceAll(':', '-');
  return join(RESULTS_FOLDER, `${suite.name}-${date}`);
}

/** To be called before the minutes of measuring. */
export function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
  } catch (error) {
    const text = `results can't be written to ${folder}: ${messageOf(error)}; chown it`;
    throw new SluiceError('BENCH_RESULTS', text, { cause: error });
  }
}

/** Prints the table, and writes SUITE.json, SUITE.md and a SUITE-PLOT.svg for each of its plots. */
export function publish(
  folder: string,
  suite: Suite,
  plan: Plan,
  setting: Setting,
  results: Results,
): void {
  const { rounds, seconds } = plan;
  const summary = summaries(results);
  const metrics = plan.measurements.flatMap((measurement) => measurement.metrics);
  const goals = goalLines(suite, metrics, summary);
  const peerNames = plan.peers.map(({ name }) => name);
  const page = {
    table: table(metrics, peerNames, { summary, texts: results.texts }, suite.baseline),
    legend:
      `Medians of ${rounds} interleaved rounds, ${seconds} s each; ± half of the range; ` +
      `(ratio to ${suite.baseline}). ${suite.remark}`,
    goals,
    drawings: drawAll(suite, metrics, peerNames, summary),
  };
  console.log(`\n${[page.table, '', page.legend, ...goals].join('\n')}`);
  const write = (name: string, text: string): void =>
    writeFileSync(join(folder, `${suite.name}${name}`), text);
  const stored = { suite: suite.name, ...setting, rounds, seconds, metrics, summary, goals };
  write('.json', `${JSON.stringify({ ...stored, ...results }, undefined, 2)}\n`);
  write('.md', markdownOf(suite, plan, setting, page));
  for (const { name, svg } of page.drawings) write(`-${name}.svg`, svg);
  console.log(`written to ${folder}`);
}
