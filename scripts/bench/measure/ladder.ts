/** How memory and time grow with the number of what a forwarder holds: from ten to ten thousand. */
import { readFileSync } from 'node:fs';
import { messageOf } from '../../../src/msg/errors.js';
import type { RunningPeer } from '../peers/peer.js';
import type { LinePlot } from '../plots/plot.js';
import { pssBytes } from '../processes.js';
import type { MeasureContext, Metric } from './measurement.js';

const RUNGS = [10, 100, 1000, 10_000] as const;
/** For all that a process has open besides. */
const SPARE_FILES = 1000;
/** What grows too slowly is left where it is then. */
const MAX_CLIMB_MS = 30_000;
/** Where it is only shown that it works. */
const MAX_QUICK = 100;
const US_PER_MS = 1000;
const BYTES_PER_KIB = 1024;
const BYTES_PER_MIB = 1024 * BYTES_PER_KIB;

export interface Ladder {
  /** In ids of metrics. */
  readonly name: string;
  readonly things: string;
  /** Its last is lower where the limit of open files is. */
  readonly rungs: readonly number[];
  readonly metrics: readonly Metric[];
}

/** Of things, such as "connections", each of which takes `files` open files of one process. */
export function ladderOf(name: string, things: string, files: number): Ladder {
  const most = Math.floor((hardFileLimit() - SPARE_FILES) / files / 500) * 500;
  const rungs = RUNGS.map((rung) => Math.min(rung, most));
  const memory = { unit: 'MiB', better: 'less' } as const;
  return {
    name,
    things,
    rungs,
    metrics: [
      { id: `${name}Most`, label: `${things} that it took`, unit: 'in all', better: 'more' },
      { id: eachId(name), label: `${things}, memory of each`, unit: 'KiB', better: 'less' },
      ...rungs.map((rung, index) => ({
        id: memoryId(name, index),
        label: `memory of ${rung} ${things}`,
        ...memory,
      })),
      ...rungs.map((rung, index) => ({
        id: timeId(name, index),
        label: `time for each, up to ${rung} ${things}`,
        unit: 'µs',
        better: 'less' as const,
      })),
    ],
  };
}

/** Memory and time against the number, for reports. */
export function ladderPlots({ name, things, rungs }: Ladder): LinePlot[] {
  const pointsOf = (id: (name: string, rung: number) => string) =>
    rungs.map((x, index) => ({ x, metric: id(name, index) }));
  return [
    {
      name: `memory-of-${name}`,
      title: `Memory of ${things}`,
      xLabel: things,
      yLabel: 'MiB above that at rest (PSS)',
      points: pointsOf(memoryId),
    },
    {
      name: `time-of-${name}`,
      title: `Time for each of the ${things}`,
      xLabel: `${things}, up to`,
      yLabel: 'µs for each',
      points: pointsOf(timeId),
    },
  ];
}

/**
 * `grow` makes one more. Memory is what the
 * forwarders have above that of before. A peer that takes no more has reached its top.
 */
export async function climb(
  { name, rungs }: Ladder,
  peer: RunningPeer,
  { quick, signal }: MeasureContext,
  grow: () => Promise<void>,
): Promise<Record<string, number>> {
  const rest = pssBytes(peer.forwarders());
  const grown = () => pssBytes(peer.forwarders()) - rest;
  const samples: Record<string, number> = {};
  const deadline = performance.now() + MAX_CLIMB_MS;
  let have = 0;
  try {
    for (const [index, rung] of rungs.entries()) {
      if (quick && rung > MAX_QUICK) break;
      const [startedAt, before] = [performance.now(), have];
      for (; have < rung; have++) {
        signal.throwIfAborted();
        if (performance.now() > deadline) throw new Error(`${MAX_CLIMB_MS} ms are over`);
        await grow();
      }
      const elapsedUs = (performance.now() - startedAt) * US_PER_MS;
      samples[timeId(name, index)] = elapsedUs / (rung - before);
      samples[memoryId(name, index)] = grown() / BYTES_PER_MIB;
    }
  } catch (error) {
    signal.throwIfAborted();
    if (have === 0) throw error;
    console.error(`${name}: no more than ${have}: ${messageOf(error)}`);
  }
  return { ...samples, [`${name}Most`]: have, [eachId(name)]: grown() / have / BYTES_PER_KIB };
}

function eachId(name: string): string {
  return `${name}Each`;
}

function memoryId(name: string, rung: number): string {
  return `${name}Memory${rung}`;
}

function timeId(name: string, rung: number): string {
  return `${name}Time${rung}`;
}

/** RLIMIT_NOFILE, to which every program in here raises its own. Source: proc(5). */
function hardFileLimit(): number {
  const hard = /^Max open files\s+\S+\s+(\d+)/m.exec(
    readFileSync('/proc/self/limits', 'latin1'),
  )?.[1];
  return hard === undefined ? Infinity : Number(hard);
}
