/**
 * Interleaves the peers: every round gives each of them one turn, with fresh servers and forwarders,
 * in an order that rotates, so that what drifts on the machine touches all of them alike.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../../src/msg/errors.js';
import { REPOSITORY } from '../../test/harness/paths.js';
import { Progress } from '../progress.js';
import { type CommandLine, run } from './command.js';
import type { MeasureContext, Measurement, Sample } from './measure/measurement.js';
import type { Peer, RunningPeer } from './peers/peer.js';
import { type Spending, metered } from './spending.js';

/** For what a client does besides measuring. */
const CLIENT_GRACE_MS = 20_000;
/** Every Linux has it. Source: shm_overview(7). */
const SHARED_MEMORY = '/dev/shm';

export interface Plan {
  readonly peers: readonly Peer[];
  readonly measurements: readonly Measurement[];
  readonly rounds: number;
  readonly seconds: number;
  readonly quick: boolean;
}

export interface Results {
  /** By metric id, then by peer; one sample from each round. */
  readonly samples: Record<string, Record<string, number[]>>;
  /** Like the samples; each different text once. */
  readonly texts: Record<string, Record<string, string[]>>;
  /** By measurement, then by peer; of each round, what each process on the path spent on it. */
  readonly spending: Record<string, Record<string, Spending[]>>;
  /** The first round's command lines, by peer. */
  readonly commands: Record<string, string[]>;
  readonly failures: string[];
}

/** A failed turn or measurement is reported and noted; only `signal` ends the rounds early. */
export async function runRounds(plan: Plan, signal: AbortSignal): Promise<Results> {
  const results: Results = {
    samples: {},
    texts: {},
    spending: {},
    commands: {},
    failures: [],
  };
  const { peers, rounds } = plan;
  const sittings = sittingsOf(plan.measurements);
  using progress = new Progress(rounds * peers.length * sittings.length);
  for (let round = 0; round < rounds; round++) {
    const first = round % peers.length;
    for (const peer of [...peers.slice(first), ...peers.slice(0, first)]) {
      for (const measurements of sittings) {
        const names = measurements.length === 1 ? `: ${measurements[0]?.name}` : '';
        progress.begin(`round ${round + 1} of ${peer.name}${names}`);
        await takeTurn(peer, { ...plan, measurements }, results, round, signal);
      }
    }
  }
  return results;
}

/** Those that are taken one after the other, with the same processes. */
function sittingsOf(measurements: readonly Measurement[]): Measurement[][] {
  const together = measurements.filter(({ apart }) => apart !== true);
  const alone = measurements.filter(({ apart }) => apart === true);
  return [...(together.length === 0 ? [] : [together]), ...alone.map((one) => [one])];
}

async function takeTurn(
  peer: Peer,
  plan: Plan,
  results: Results,
  round: number,
  signal: AbortSignal,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  const runtimeFolder = await mkdtemp(join(inMemory(), 'sluice-bench-'));
  let running: RunningPeer | undefined;
  // As they are typed elsewhere: in another checkout, with folders of another name.
  const names = { [REPOSITORY]: '.', [folder]: '$FOLDER', [runtimeFolder]: '$XDG_RUNTIME_DIR' };
  const record = (command: readonly string[]): void => {
    if (round > 0) return;
    const line = Object.entries(names).reduce(
      (text, [path, name]) => text.replaceAll(path, () => name),
      command.join(' '),
    );
    (results.commands[peer.name] ??= []).push(line);
  };
  const note = (what: string, error: unknown): void => {
    signal.throwIfAborted();
    const failure = `round ${round + 1}, ${peer.name}, ${what}: ${messageOf(error)}`;
    console.error(`FAILED: ${failure}`);
    results.failures.push(failure);
  };
  try {
    running = await peer.start({ folder, runtimeFolder, signal, note: record });
    const started = running;
    const context = contextOf(running, plan, { folder, record, signal });
    for (const measurement of plan.measurements) {
      if (measurement.once === true && round > 0) continue;
      try {
        const { result, spending } = await metered(started, () =>
          measurement.take(started, context),
        );
        add(results, peer.name, result);
        seriesOf(results.spending, measurement.name, peer.name).push(spending);
      } catch (error) {
        note(measurement.name, error);
      }
    }
  } catch (error) {
    note('start', error);
  } finally {
    await running?.stop();
    for (const each of [folder, runtimeFolder]) await rm(each, { recursive: true, force: true });
  }
}

/** A folder on tmpfs, where XDG_RUNTIME_DIR is on a machine that people log in to. */
function inMemory(): string {
  return existsSync(SHARED_MEMORY) ? SHARED_MEMORY : tmpdir();
}

function contextOf(
  peer: RunningPeer,
  { seconds, quick }: Plan,
  turn: {
    folder: string;
    signal: AbortSignal;
    record: (command: readonly string[]) => void;
  },
): MeasureContext {
  const client = (command: CommandLine, enter = peer.enter): Promise<string> => {
    const [file, ...args] = [...enter, ...command];
    const line: CommandLine = [file ?? command[0], ...args];
    turn.record(line);
    return run(line, seconds * 1000 + CLIENT_GRACE_MS, turn.signal);
  };
  return { seconds, quick, folder: turn.folder, signal: turn.signal, client };
}

function add(results: Results, peerName: string, taken: Record<string, Sample>): void {
  for (const [metric, value] of Object.entries(taken)) {
    if (typeof value === 'number') {
      seriesOf(results.samples, metric, peerName).push(value);
      continue;
    }
    const texts = seriesOf(results.texts, metric, peerName);
    if (!texts.includes(value)) {
      texts.push(value);
    }
  }
}

function seriesOf<T>(
  all: Record<string, Record<string, T[]>>,
  name: string,
  peerName: string,
): T[] {
  const byPeer = (all[name] ??= {});
  return (byPeer[peerName] ??= []);
}
