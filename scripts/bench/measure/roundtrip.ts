import { fileURLToPath } from 'node:url';
import { SluiceError } from '../../../src/msg/errors.js';
import { metered } from '../spending.js';
import { costMetrics, costSamples } from './cost.js';
import { type Measurement, field } from './measurement.js';

const CLIENT = fileURLToPath(new URL('../inside/roundtrip.mjs', import.meta.url));

/** One byte there and back, over one connection, one at a time. */
export const roundtrip: Measurement = {
  name: 'roundtrip',
  metrics: [
    { id: 'roundtripP50', label: 'round trip of one byte, p50', unit: 'µs', better: 'less' },
    { id: 'roundtripP99', label: 'round trip of one byte, p99', unit: 'µs', better: 'less' },
    ...costMetrics('roundtrip', 'a round trip'),
  ],
  async take(peer, context) {
    const args = [CLIENT, '127.0.0.1', `${peer.ports.echo}`, `${context.seconds}`];
    const { result, spending } = await metered(peer, () =>
      context.client([process.execPath, ...args]),
    );
    const report: unknown = JSON.parse(result);
    const [trips, p50, p99] = ['trips', 'p50Us', 'p99Us'].map((name) => field(report, name));
    if (typeof trips !== 'number' || typeof p50 !== 'number' || typeof p99 !== 'number') {
      throw new SluiceError('BENCH_OUTPUT', `the round-trip client reported ${result}`);
    }
    const cost = costSamples('roundtrip', peer, spending, trips);
    return { roundtripP50: p50, roundtripP99: p99, ...cost };
  },
};
