/** UDP through a peer: our own sender and receiver, the same for every peer. */
import { fileURLToPath } from 'node:url';
import { SluiceError } from '../../../src/msg/errors.js';
import type { RunningPeer } from '../peers/peer.js';
import { cpuSeconds } from '../processes.js';
import { type MeasureContext, type Measurement, field } from './measurement.js';

const FLOOD = fileURLToPath(new URL('../inside/udp-flood.mjs', import.meta.url));
const ROUNDTRIP = fileURLToPath(new URL('../inside/udp-roundtrip.mjs', import.meta.url));
const BITS_PER_GBIT = 1e9;
const MILLION = 1e6;

/** Of one datagram: a game's or a DNS query, a frame of Ethernet, one of a jumbo frame. */
export const DATAGRAM_SIZES = [64, 1400, 8000] as const;
/** UDP_MAX_SEGMENTS of Linux before 6.9. */
const MAX_AT_ONCE = 64;
const LADDER_BYTES = 1400;
/** In Mbit/s, each twice the one before. */
const LADDER = [100, 200, 400, 800, 1600, 3200] as const;
/** The metrics of the ladder, from the lowest rate up. */
export const LOSS_IDS = LADDER.map(lossId);

/**
 * Datagrams without a rate limit: what of them arrives, and what that costs. The client sends them
 * one with each system call, or as many as it may.
 */
export function udpThroughput(bytes: number, sending: 'singly' | 'segmented'): Measurement {
  const id = `udp${bytes}${sending === 'singly' ? 'Singly' : ''}`;
  const words = `${bytes} bytes, ${sending}`;
  return {
    name: id,
    metrics: [
      { id, label: `${words}, received`, unit: 'Gbit/s', better: 'more' },
      { id: `${id}Cpu`, label: `${words}, CPU`, unit: 's/million', better: 'less' },
    ],
    async take(peer, context) {
      const before = cpuSeconds(peer.forwarders());
      const { received, ms } = await flood(peer, context, {
        bytes,
        atOnce: sending === 'singly' ? 1 : MAX_AT_ONCE,
      });
      const cpu = cpuSeconds(peer.forwarders()) - before;
      const throughput = { [id]: (received * bytes * 8) / (ms / 1000) / BITS_PER_GBIT };
      return peer.forwarders().length === 0
        ? throughput
        : { ...throughput, [`${id}Cpu`]: (cpu / received) * MILLION };
    },
  };
}

export const udpLoss: Measurement = {
  name: 'udpLoss',
  metrics: LADDER.map((mbit) => ({
    id: lossId(mbit),
    label: `lost of ${mbit} Mbit/s, ${LADDER_BYTES} bytes`,
    unit: '%',
    better: 'less',
  })),
  async take(peer, context) {
    const losses: Record<string, number> = {};
    for (const mbit of LADDER) {
      const { sent, received } = await flood(peer, context, {
        bytes: LADDER_BYTES,
        atOnce: MAX_AT_ONCE,
        mbit,
      });
      losses[lossId(mbit)] = 100 * (1 - received / sent);
    }
    return losses;
  },
};

export const udpRoundtrip: Measurement = {
  name: 'udpRoundtrip',
  metrics: [
    { id: 'udpRoundtripP50', label: 'round trip of a datagram, p50', unit: 'µs', better: 'less' },
    { id: 'udpRoundtripP99', label: 'round trip of a datagram, p99', unit: 'µs', better: 'less' },
  ],
  async take(peer, context) {
    const [p50 = 0, p99 = 0] = await ask(
      peer,
      context,
      ROUNDTRIP,
      [context.seconds],
      ['p50Us', 'p99Us'],
    );
    return { udpRoundtripP50: p50, udpRoundtripP99: p99 };
  },
};

function lossId(mbit: number): string {
  return `udpLoss${mbit}`;
}

async function flood(
  peer: RunningPeer,
  context: MeasureContext,
  { bytes, atOnce, mbit }: { bytes: number; atOnce: number; mbit?: number },
): Promise<{ sent: number; received: number; ms: number }> {
  const load = [bytes, atOnce, context.seconds, ...(mbit === undefined ? [] : [mbit])];
  const fields = ['sent', 'received', 'ms'];
  const [sent = 0, received = 0, ms = 0] = await ask(peer, context, FLOOD, load, fields);
  return { sent, received, ms };
}

/** Runs a client of udp-sink.mjs; resolves with these fields of its report. */
async function ask(
  peer: RunningPeer,
  context: MeasureContext,
  program: string,
  args: readonly number[],
  fields: readonly string[],
): Promise<number[]> {
  const command = [program, '127.0.0.1', `${peer.ports.udp}`, ...args.map(String)];
  const report: unknown = JSON.parse(await context.client([process.execPath, ...command]));
  return fields.map((name) => {
    const value = field(report, name);
    if (typeof value === 'number') return value;
    const text = `${program} reported no ${name}: ${JSON.stringify(report)}`;
    throw new SluiceError('BENCH_OUTPUT', text);
  });
}
