import { CLIENT_ADDRESS } from '../../../test/harness/namespaces.js';
import type { Measurement } from './measurement.js';

/** The address that the servers would write to their log for a client. */
export const clientAddress: Measurement = {
  name: 'address',
  metrics: [
    { id: 'addressLoopback', label: 'client at 127.0.0.1 is seen as' },
    { id: 'addressElsewhere', label: `client at ${CLIENT_ADDRESS.v4} is seen as` },
  ],
  async take(peer, context) {
    const path = `:${peer.ports.http}/client`;
    const addressLoopback = await context.client(['curl', '-sSf', `http://127.0.0.1${path}`]);
    if (peer.elsewhere === undefined) {
      return { addressLoopback: addressLoopback.trim() };
    }
    const { address, enter } = peer.elsewhere;
    const addressElsewhere = await context.client(
      ['curl', '-sSf', `http://${address}${path}`],
      enter,
    );
    return { addressLoopback: addressLoopback.trim(), addressElsewhere: addressElsewhere.trim() };
  },
};
