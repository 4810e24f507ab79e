/** Which host ports to try for a request, and what tells that one was taken. */

import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { messageOf } from '../../msg/errors.js';
import { isRange, type PortBindingReq } from './contract.js';

const LOCAL_PORT_RANGE = '/proc/sys/net/ipv4/ip_local_port_range';

/** Each is bound on every address of the requests, and given back where one of them is taken. */
const MAX_EPHEMERAL_ATTEMPTS = 32;
const MAX_RANGE_ATTEMPTS = 256;

/** In the order in which they are to be tried, no more than a bounded number. */
export function* candidates(req: PortBindingReq): Generator<number, void> {
  const { hostPort, hostPortEnd } = req;
  if (!isRange(req)) {
    yield hostPort;
  } else if (hostPort > 0) {
    const last = Math.min(hostPortEnd, hostPort + MAX_RANGE_ATTEMPTS - 1);
    for (let port = hostPort; port <= last; port++) yield port;
  } else {
    const { first, last } = ephemeralPorts();
    for (let attempt = 0; attempt < MAX_EPHEMERAL_ATTEMPTS; attempt++) {
      yield randomInt(first, last + 1);
    }
  }
}

/** The kernel's own range, which administrators keep clear of services. */
function ephemeralPorts(): { readonly first: number; readonly last: number } {
  const [first = 0, last = 0] = readFileSync(LOCAL_PORT_RANGE, 'utf8').split(/\s+/).map(Number);
  return { first, last };
}

/**
 * Whether another port may do. An API gives no codes, so the texts of ours and of rootlesskit's
 * drivers have to tell.
 */
export function isTaken(error: unknown): boolean {
  return /conflict with |port is in use|address already in use/.test(messageOf(error));
}
