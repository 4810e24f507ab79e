/** Connections that carry nothing. */
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuSeconds, fdTargetsOf, isPipe } from '../processes.js';
import { IdleConnections } from './idle-connections.js';
import { climb, ladderOf } from './ladder.js';
import type { Measurement } from './measurement.js';

const MS_PER_SECOND = 1000;

/** A flow is two sockets in one process. */
export const idleLadder = ladderOf('connections', 'idle connections', 2);

export const idle: Measurement = {
  name: 'idle',
  apart: true,
  metrics: [
    ...idleLadder.metrics,
    { id: 'idlePipes', label: 'pipes held for them', unit: 'pipes', better: 'less' },
    { id: 'idleCpu', label: 'CPU while idle', unit: 'ms/s', better: 'less' },
  ],
  async take(peer, context) {
    const pipesAtRest = pipesOf(peer.forwarders());
    using connections = new IdleConnections();
    const samples = await climb(idleLadder, peer, context, () => connections.open(peer.ports.echo));
    const before = cpuSeconds(peer.forwarders());
    await sleep(context.seconds * MS_PER_SECOND, undefined, { signal: context.signal });
    const spent = cpuSeconds(peer.forwarders()) - before;
    return {
      ...samples,
      idlePipes: pipesOf(peer.forwarders()) - pipesAtRest,
      idleCpu: (spent * MS_PER_SECOND) / context.seconds,
    };
  },
};

function pipesOf(pids: readonly number[]): number {
  return new Set(pids.flatMap(fdTargetsOf).filter(isPipe)).size;
}
