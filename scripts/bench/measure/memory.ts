import { pssMiB } from '../processes.js';
import { IdleConnections } from './idle-connections.js';
import type { Measurement } from './measurement.js';

const IDLE_CONNECTIONS = 1000;

/** Of the forwarders alone, before they carried anything and with idle connections open. */
export const memory: Measurement = {
  name: 'memory',
  metrics: [
    { id: 'memoryRest', label: 'memory (PSS) at rest', unit: 'MiB', better: 'less' },
    {
      id: 'memoryIdle',
      label: `memory (PSS), ${IDLE_CONNECTIONS} idle connections`,
      unit: 'MiB',
      better: 'less',
    },
  ],
  async take(peer, { signal }) {
    if (peer.forwarders().length === 0 || peer.hidden === true) {
      return {};
    }
    const memoryRest = pssMiB(peer.forwarders());
    using connections = new IdleConnections();
    for (let count = 0; count < IDLE_CONNECTIONS; count++) {
      signal.throwIfAborted();
      await connections.open(peer.ports.echo);
    }
    return { memoryRest, memoryIdle: pssMiB(peer.forwarders()) };
  },
};
