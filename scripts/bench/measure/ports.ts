/** What publishing a port costs: through the API, as an engine does it. */
import { freePort } from '../../../test/harness/ports.js';
import { quantile } from '../stats.js';
import { climb, ladderOf } from './ladder.js';
import type { Measurement } from './measurement.js';
import { AddedPorts, PortApi } from './port-api.js';

const CALLS = { quick: 20, full: 500 };
/** Until the code on both sides is compiled. */
const WARM_UP_CALLS = 20;
const MANY = 1000;

export const portLadder = ladderOf('ports', 'ports', 1);

/** One port, added and removed again and again. */
export const portCalls: Measurement = {
  name: 'calls',
  metrics: [
    { id: 'addP50', label: 'adding a port, p50', unit: 'µs', better: 'less' },
    { id: 'addP99', label: 'adding a port, p99', unit: 'µs', better: 'less' },
    { id: 'removeP50', label: 'removing it, p50', unit: 'µs', better: 'less' },
    { id: 'removeP99', label: 'removing it, p99', unit: 'µs', better: 'less' },
  ],
  async take(peer, { quick }) {
    using api = new PortApi(peer);
    const parentPort = await freePort();
    const addedUs: number[] = [];
    const removedUs: number[] = [];
    const calls = WARM_UP_CALLS + (quick ? CALLS.quick : CALLS.full);
    for (let call = 0; call < calls; call++) {
      const startedAt = performance.now();
      const id = await api.add('tcp', parentPort);
      const addedAt = performance.now();
      await api.remove(id);
      if (call < WARM_UP_CALLS) continue;
      addedUs.push((addedAt - startedAt) * 1000);
      removedUs.push((performance.now() - addedAt) * 1000);
    }
    const [added, removed] = [addedUs, removedUs].map((times) => times.toSorted((a, b) => a - b));
    return {
      addP50: quantile(added ?? [], 0.5),
      addP99: quantile(added ?? [], 0.99),
      removeP50: quantile(removed ?? [], 0.5),
      removeP99: quantile(removed ?? [], 0.99),
    };
  },
};

export const manyPorts: Measurement = {
  name: 'many',
  metrics: [
    { id: 'manyAdded', label: `${MANY} ports, published`, unit: 'ms', better: 'less' },
    { id: 'manyRemoved', label: `${MANY} ports, removed`, unit: 'ms', better: 'less' },
    { id: 'many', label: `${MANY} ports, published and removed`, unit: 'ms', better: 'less' },
  ],
  async take(peer) {
    using api = new PortApi(peer);
    const ports = new AddedPorts(api);
    const startedAt = performance.now();
    await ports.addMany(MANY);
    const addedAt = performance.now();
    await ports.removeAll();
    const removedAt = performance.now();
    return {
      manyAdded: addedAt - startedAt,
      manyRemoved: removedAt - addedAt,
      many: removedAt - startedAt,
    };
  },
};

export const portGrowth: Measurement = {
  name: 'growth',
  apart: true,
  metrics: portLadder.metrics,
  async take(peer, context) {
    using api = new PortApi(peer);
    const ports = new AddedPorts(api);
    try {
      return await climb(portLadder, peer, context, () => ports.add());
    } finally {
      await ports.removeAll();
    }
  },
};
