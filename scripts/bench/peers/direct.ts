import { launchNamespace, missingProgram } from './namespace.js';
import { CHILD_PORTS, type Peer } from './peer.js';

/** The upper bound: client and servers on one loopback, nothing in between. */
export const direct: Peer = {
  name: 'direct',
  description: 'no forwarder: the clients run inside the namespace of the servers',
  version: ['unshare', '--version'],
  missing: () => missingProgram('unshare', 'nsenter', 'ip'),
  async start(turn) {
    const { enter, stop } = await launchNamespace(turn);
    return { ports: CHILD_PORTS, enter, forwarders: () => [], stop };
  },
};
