/** Whether somebody answers at an endpoint, as a client of it would find out. */
import { probeSctp } from './sctp.js';
import type { Finding, ProbeOptions, ProbeResult } from './result.js';
import type { Endpoint } from './target.js';
import { probeTcp } from './tcp.js';
import { probeUdp } from './udp.js';

export async function probe(endpoint: Endpoint, options: ProbeOptions): Promise<ProbeResult> {
  return { ...endpoint, ...(await findingOf(endpoint, options)) };
}

/**
 * @throws SluiceError ERR_PAYLOAD for a payload that fits no datagram or message, ERR_SCTP where the
 *   kernel has no SCTP
 */
export function findingOf(endpoint: Endpoint, options: ProbeOptions): Promise<Finding> {
  switch (endpoint.transport) {
    case 'tcp':
      return probeTcp(endpoint, options);
    case 'udp':
      return probeUdp(endpoint, options);
    case 'sctp':
      return probeSctp(endpoint, options);
    default:
      return endpoint.transport satisfies never;
  }
}
