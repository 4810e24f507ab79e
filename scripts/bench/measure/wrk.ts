import { SluiceError } from '../../../src/msg/errors.js';
import type { RunningPeer } from '../peers/peer.js';
import { metered } from '../spending.js';
import { costMetrics, costSamples } from './cost.js';
import type { MeasureContext, Measurement } from './measurement.js';

const CLIENTS = 32;
/**
 * Before the first measurement: a JIT compiler has found what is worth its while by then, and sluice
 * has looked for rules of a new port as often as it does.
 */
const WARM_UP_SECONDS = 4;

/** Of wrk, for a connection with each request. */
export const CONNECTION_CLOSE = ['--header', 'Connection: close'] as const;

export const connections = wrkMeasurement(
  'connections',
  'connections',
  'a connection',
  CONNECTION_CLOSE,
  WARM_UP_SECONDS,
);

/** Of a forwarder that the connections have warmed up. */
export const requests = wrkMeasurement('requests', 'requests, keepalive', 'a request', [], 0);

function wrkMeasurement(
  name: string,
  words: string,
  one: string,
  options: readonly string[],
  warmUpSeconds: number,
): Measurement {
  return {
    name,
    metrics: [{ id: name, label: words, unit: '/s', better: 'more' }, ...costMetrics(name, one)],
    async take(peer, context) {
      if (warmUpSeconds > 0 && !context.quick) {
        await wrk(peer, { ...context, seconds: warmUpSeconds }, options);
      }
      const { result, spending } = await metered(peer, () => wrk(peer, context, options));
      return { [name]: result.rate, ...costSamples(name, peer, spending, result.count) };
    },
  };
}

/** Answered requests, in total and per second. */
export async function wrk(
  peer: RunningPeer,
  context: MeasureContext,
  options: readonly string[],
): Promise<{ rate: number; count: number }> {
  const load = [
    '--threads',
    '1',
    '--connections',
    `${CLIENTS}`,
    '--duration',
    `${context.seconds}s`,
  ];
  const url = `http://127.0.0.1:${peer.ports.http}/`;
  const output = await context.client(['wrk', ...load, ...options, url]);
  const rate = /^Requests\/sec:\s+([\d.]+)$/m.exec(output)?.[1];
  const count = /^\s*(\d+) requests in /m.exec(output)?.[1];
  const trouble = /^\s*(Socket errors|Non-2xx).*$/m.exec(output)?.[0];
  if (rate === undefined || count === undefined || trouble !== undefined) {
    throw new SluiceError('BENCH_OUTPUT', `wrk met errors: ${(trouble ?? output).trim()}`);
  }
  return { rate: Number(rate), count: Number(count) };
}
