/** Which host ports to try for a request, and what tells that one was taken. */

import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { messageOf, SluiceError } from '../../msg/errors.js';
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

const TAKEN: readonly string[] = ['ERR_CONFLICT', 'ERR_BIND_IN_USE'];
/** RootlessKit's API has no codes, and nor has the manager of another program, which is ERR_MAP here. */
const WITHOUT_CODE: readonly string[] = ['ERR_API', 'ERR_MAP'];
/** Texts of ours and of rootlesskit's drivers. */
const TAKEN_TEXT = /conflict with |port is in use|address already in use/;

/** Whether another port may do: the code tells, or the text where there is none. */
export function isTaken(error: unknown): boolean {
  const code = error instanceof SluiceError ? error.code : 'ERR_MAP';
  if (WITHOUT_CODE.includes(code)) return TAKEN_TEXT.test(messageOf(error));
  return TAKEN.includes(code);
}
