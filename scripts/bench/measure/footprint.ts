import { pssMiB } from '../processes.js';
import type { Measurement } from './measurement.js';
import { AddedPorts, PortApi } from './port-api.js';

const PORTS = 1000;

/** Of a driver that has just started. */
export const footprint: Measurement = {
  name: 'footprint',
  metrics: [
    { id: 'ready', label: 'from the start to a ready API', unit: 'ms', better: 'less' },
    { id: 'rest', label: 'memory (PSS) at rest', unit: 'MiB', better: 'less' },
    { id: 'withPorts', label: `memory (PSS), ${PORTS} ports`, unit: 'MiB', better: 'less' },
  ],
  async take(peer) {
    const rest = pssMiB(peer.forwarders());
    using api = new PortApi(peer);
    const ports = new AddedPorts(api);
    await ports.addMany(PORTS);
    const withPorts = pssMiB(peer.forwarders());
    await ports.removeAll();
    return { rest, withPorts, ...(peer.readyMs !== undefined && { ready: peer.readyMs }) };
  },
};
