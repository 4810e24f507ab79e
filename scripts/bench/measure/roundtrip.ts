import { fileURLToPath } from 'node:url';
import { SluiceError } from '../../../src/msg/errors.js';
import { type Measurement, field } from './measurement.js';

const CLIENT = fileURLToPath(new URL('../inside/roundtrip.mjs', import.meta.url));

/** One byte there and back, over one connection, one at a time. */
export const roundtrip: Measurement = {
  name: 'roundtrip',
  metrics: [
    { id: 'roundtripP50', label: 'round trip of one byte, p50', unit: 'µs', better: 'less' },
    { id: 'roundtripP99', label: 'round trip of one byte, p99', unit: 'µs', better: 'less' },
  ],
  async take(peer, context) {
    const args = [CLIENT, '127.0.0.1', `${peer.ports.echo}`, `${context.seconds}`];
    const report: unknown = JSON.parse(await context.client([process.execPath, ...args]));
    const [p50, p99] = [field(report, 'p50Us'), field(report, 'p99Us')];
    if (typeof p50 !== 'number' || typeof p99 !== 'number') {
      const said = JSON.stringify(report);
      throw new SluiceError('BENCH_OUTPUT', `the round-trip client reported ${said}`);
    }
    return { roundtripP50: p50, roundtripP99: p99 };
  },
};
