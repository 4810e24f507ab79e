/**
 * Interleaves the peers: every round gives each of them one turn, with fresh servers and forwarders,
 * in an order that rotates, so that what drifts on the machine touches all of them alike.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../../src/msg/errors.js';
import { Progress } from '../progress.js';
import { type CommandLine, run } from './command.js';
import type { MeasureContext, Measurement, Sample } from './measure/measurement.js';
import type { Peer, RunningPeer } from './peers/peer.js';

/** For what a client does besides measuring. */
const CLIENT_GRACE_MS = 20_000;

export interface Plan {
  readonly peers: readonly Peer[];
  readonly measurements: readonly Measurement[];
  readonly rounds: number;
  readonly seconds: number;
}

export interface Results {
  /** By metric id, then by peer; one sample from each round. */
  readonly samples: Record<string, Record<string, number[]>>;
  /** Like the samples; each different text once. */
  readonly texts: Record<string, Record<string, string[]>>;
  /** The first round's command lines, by peer. */
  readonly commands: Record<string, string[]>;
  readonly failures: string[];
}

/** A failed turn or measurement is reported and noted; only `signal` ends the rounds early. */
export async function runRounds(plan: Plan, signal: AbortSignal): Promise<Results> {
  const results: Results = { samples: {}, texts: {}, commands: {}, failures: [] };
  const { peers, rounds } = plan;
  using progress = new Progress(rounds * peers.length);
  for (let round = 0; round < rounds; round++) {
    const first = round % peers.length;
    for (const peer of [...peers.slice(first), ...peers.slice(0, first)]) {
      progress.begin(`round ${round + 1} of ${peer.name}`);
      await takeTurn(peer, plan, results, round, signal);
    }
  }
  return results;
}

async function takeTurn(
  peer: Peer,
  plan: Plan,
  results: Results,
  round: number,
  signal: AbortSignal,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  let running: RunningPeer | undefined;
  const record = (command: readonly string[]): void => {
    if (round === 0) {
      (results.commands[peer.name] ??= []).push(command.join(' '));
    }
  };
  const note = (what: string, error: unknown): void => {
    signal.throwIfAborted();
    const failure = `round ${round + 1}, ${peer.name}, ${what}: ${messageOf(error)}`;
    console.error(`FAILED: ${failure}`);
    results.failures.push(failure);
  };
  try {
    running = await peer.start({ folder, signal, note: record });
    const context = contextOf(running, plan, record, signal);
    for (const measurement of plan.measurements) {
      try {
        add(results, peer.name, await measurement.take(running, context));
      } catch (error) {
        note(measurement.name, error);
      }
    }
  } catch (error) {
    note('start', error);
  } finally {
    await running?.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

function contextOf(
  peer: RunningPeer,
  { seconds }: Plan,
  record: (command: readonly string[]) => void,
  signal: AbortSignal,
): MeasureContext {
  const client = (command: CommandLine, enter = peer.enter): Promise<string> => {
    const [file, ...args] = [...enter, ...command];
    const line: CommandLine = [file ?? command[0], ...args];
    record(line);
    return run(line, seconds * 1000 + CLIENT_GRACE_MS, signal);
  };
  return { seconds, signal, client };
}

function add(results: Results, peerName: string, taken: Record<string, Sample>): void {
  for (const [metric, value] of Object.entries(taken)) {
    if (typeof value === 'number') {
      samplesOf(results.samples, metric, peerName).push(value);
      continue;
    }
    const texts = samplesOf(results.texts, metric, peerName);
    if (!texts.includes(value)) {
      texts.push(value);
    }
  }
}

function samplesOf<T extends Sample>(
  all: Record<string, Record<string, T[]>>,
  metric: string,
  peerName: string,
): T[] {
  const byPeer = (all[metric] ??= {});
  return (byPeer[peerName] ??= []);
}
