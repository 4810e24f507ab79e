/** What a connection, a request or a round trip costs the forwarders. */
import type { RunningPeer } from '../peers/peer.js';
import { type Spending, sumOf } from '../spending.js';
import type { Metric } from './measurement.js';

const US_PER_SECOND = 1e6;

export function costMetrics(prefix: string, words: string): Metric[] {
  return [
    { id: `${prefix}Cpu`, label: `${words}, CPU`, unit: 'µs', better: 'less' },
    { id: `${prefix}Switches`, label: `${words}, context switches`, unit: 'each', better: 'less' },
  ];
}

/** Of `count` pieces of work; none on the direct path. */
export function costSamples(
  prefix: string,
  peer: RunningPeer,
  spending: Spending,
  count: number,
): Record<string, number> {
  if (peer.forwarders().length === 0) return {};
  const { cpuSeconds, switches } = sumOf(spending);
  return {
    [`${prefix}Cpu`]: (cpuSeconds * US_PER_SECOND) / count,
    ...(peer.forks === true ? {} : { [`${prefix}Switches`]: switches / count }),
  };
}
