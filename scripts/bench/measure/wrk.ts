import { SluiceError } from '../../../src/msg/errors.js';
import type { RunningPeer } from '../peers/peer.js';
import type { MeasureContext, Measurement } from './measurement.js';

const CLIENTS = 32;

export const connections: Measurement = {
  name: 'connections',
  metrics: [{ id: 'connections', label: 'connections', unit: '/s', better: 'more' }],
  async take(peer, context) {
    return { connections: await wrk(peer, context, ['--header', 'Connection: close']) };
  },
};

export const requests: Measurement = {
  name: 'requests',
  metrics: [{ id: 'requests', label: 'requests, keepalive', unit: '/s', better: 'more' }],
  async take(peer, context) {
    return { requests: await wrk(peer, context, []) };
  },
};

/** Answered requests per second. */
async function wrk(
  peer: RunningPeer,
  context: MeasureContext,
  options: readonly string[],
): Promise<number> {
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
  const trouble = /^\s*(Socket errors|Non-2xx).*$/m.exec(output)?.[0];
  if (rate === undefined || trouble !== undefined) {
    throw new SluiceError('BENCH_OUTPUT', `wrk met errors: ${(trouble ?? output).trim()}`);
  }
  return Number(rate);
}
