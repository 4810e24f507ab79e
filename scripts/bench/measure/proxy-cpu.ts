import { SluiceError } from '../../../src/msg/errors.js';
import { cpuSeconds, named } from '../processes.js';
import type { Measurement } from './measurement.js';

const PROXY = 'docker-proxy';

/** Adds the CPU time of Docker's userland proxies: none where they are not on the path. */
export function withProxyCpu(measurement: Measurement, words: string): Measurement {
  const id = proxyCpuId(measurement.name);
  const label = `${PROXY}'s CPU, ${words}`;
  return {
    name: measurement.name,
    metrics: [...measurement.metrics, { id, label, unit: 's', better: 'less' }],
    async take(peer, context) {
      const forwarders = peer.forwarders();
      if (forwarders.length === 0) {
        return measurement.take(peer, context);
      }
      const proxies = named(forwarders, PROXY);
      if (proxies.length === 0) {
        throw new SluiceError('BENCH_PROXY', `no ${PROXY} runs, which Docker starts by default`);
      }
      const before = cpuSeconds(proxies);
      const samples = await measurement.take(peer, context);
      return { ...samples, [id]: cpuSeconds(proxies) - before };
    },
  };
}

/** Of the metric that it adds to the measurement of this name. */
export function proxyCpuId(measurementName: string): string {
  return `${measurementName}ProxyCpu`;
}
