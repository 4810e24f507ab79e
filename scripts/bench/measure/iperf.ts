import { setTimeout as sleep } from 'node:timers/promises';
import { SluiceError, messageOf } from '../../../src/msg/errors.js';
import type { CommandLine } from '../command.js';
import type { RunningPeer } from '../peers/peer.js';
import { type Spent, metered, sumOf } from '../spending.js';
import { type MeasureContext, type Measurement, field } from './measurement.js';

const BYTES_PER_GB = 1e9;
const MB_PER_GB = 1000;
const BITS_PER_GBIT = 1e9;
/** A server that has not yet seen the end of the test before refuses, or resets the refusal. */
const BUSY = /server is busy|unable to receive control message/;
const BUSY_TRIES = 50;
const BUSY_PAUSE_MS = 100;

interface Received {
  readonly gbitPerSecond: number;
  readonly gigabytes: number;
}

/** iperf3 with `streams` connections into the namespace, then out of it. */
export function iperf(streams: number, words: string): Measurement {
  const prefix = `stream${streams}`;
  const throughput = { unit: 'Gbit/s', better: 'more' } as const;
  return {
    name: prefix,
    metrics: [
      { id: `${prefix}In`, label: `${words}, in`, ...throughput },
      { id: `${prefix}Out`, label: `${words}, out`, ...throughput },
      { id: `${prefix}Cpu`, label: `${words}, CPU`, unit: 's/GB', better: 'less' },
      {
        id: `${prefix}Switches`,
        label: `${words}, context switches`,
        unit: '/MB',
        better: 'less',
      },
    ],
    async take(peer, context) {
      const inward = await transfer(peer, context, streams, []);
      const outward = await transfer(peer, context, streams, ['--reverse']);
      const samples = {
        [`${prefix}In`]: inward.gbitPerSecond,
        [`${prefix}Out`]: outward.gbitPerSecond,
      };
      if (peer.forwarders().length === 0) {
        return samples;
      }
      const gigabytes = inward.gigabytes + outward.gigabytes;
      const switches = (inward.switches + outward.switches) / gigabytes / MB_PER_GB;
      return {
        ...samples,
        [`${prefix}Cpu`]: (inward.cpuSeconds + outward.cpuSeconds) / gigabytes,
        ...(peer.forks === true ? {} : { [`${prefix}Switches`]: switches }),
      };
    },
  };
}

/** Sends for the context's time; what arrived, and what the forwarders spent on it. */
export async function transfer(
  peer: RunningPeer,
  context: MeasureContext,
  streams: number,
  options: readonly string[],
): Promise<Received & Spent> {
  const target = ['--client', '127.0.0.1', '--port', `${peer.ports.iperf}`];
  const load = ['--parallel', `${streams}`, '--time', `${context.seconds}`, ...options];
  const command: CommandLine = ['iperf3', ...target, ...load, '--json'];
  for (let attempt = 1; ; attempt++) {
    try {
      const { result, spending } = await metered(peer, () => receivedBy(command, context));
      return { ...result, ...sumOf(spending) };
    } catch (error) {
      if (attempt === BUSY_TRIES || !BUSY.test(messageOf(error))) {
        throw error;
      }
      await sleep(BUSY_PAUSE_MS);
    }
  }
}

async function receivedBy(command: CommandLine, context: MeasureContext): Promise<Received> {
  const report: unknown = JSON.parse(await context.client(command));
  const bytes = field(report, 'end', 'sum_received', 'bytes');
  const bits = field(report, 'end', 'sum_received', 'bits_per_second');
  if (typeof bytes !== 'number' || typeof bits !== 'number') {
    const said = JSON.stringify(field(report, 'error'));
    throw new SluiceError('BENCH_OUTPUT', `iperf3 reported no sum of received bytes: ${said}`);
  }
  return { gbitPerSecond: bits / BITS_PER_GBIT, gigabytes: bytes / BYTES_PER_GB };
}
