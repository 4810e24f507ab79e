/** Which requests of a call get one host port. */

import { isIP } from 'node:net';
import { SluiceError } from '../../msg/errors.js';
import { type ChildHost, type Reach, childHostOf } from './child-host-ip.js';
import { comparePortBindingReq, unmapped } from './compare.js';
import type { PortBindingReq } from './contract.js';

const MAX_PORT = 65535;

/** A request with its place in the call. */
export interface Member {
  readonly index: number;
  readonly req: PortBindingReq;
  /** Undefined where the port driver can't serve it. */
  readonly child: ChildHost | undefined;
}

export type ServedMember = Member & { readonly child: ChildHost };

export type Group = [Member, ...Member[]];

/**
 * Requests for the same container port and the same host port or range go together, exact host
 * ports first. An address that a group has already begins another one, and so does a container
 * that its NAT rule could not be told apart from.
 *
 * @throws SluiceError ERR_PORT_BINDING
 */
export function groupRequests(reqs: readonly PortBindingReq[], reach: Reach): Group[] {
  const groups: Group[] = [];
  const members = reqs.map((req, index): Member => {
    checkRequest(req);
    return { index, req, child: childHostOf(reach, req) };
  });
  for (const member of members.toSorted((a, b) => comparePortBindingReq(a.req, b.req))) {
    const group = groups.find((one) => belongs(member, one));
    if (group === undefined) groups.push([member]);
    else group.push(member);
  }
  return groups;
}

export function isServed(member: Member): member is ServedMember {
  return member.child !== undefined;
}

function belongs({ req, child }: Member, group: Group): boolean {
  const [{ req: first }] = group;
  const isAlike =
    first.mapper === req.mapper &&
    first.proto === req.proto &&
    first.port === req.port &&
    first.hostPort === req.hostPort &&
    first.hostPortEnd === req.hostPortEnd;
  return (
    isAlike &&
    group.every(
      (other) =>
        !isSame(other.req.hostIP, req.hostIP) &&
        (other.child?.ip !== child?.ip || isSame(other.req.ip, req.ip)),
    )
  );
}

function isSame(one = '', other = ''): boolean {
  if (one === '' || other === '') return one === other;
  return unmapped(one) === unmapped(other);
}

function checkRequest({ hostIP = '', ip, port, hostPort, hostPortEnd }: PortBindingReq): void {
  checkAddress('host', hostIP);
  checkAddress('container', ip);
  checkPort('container port', port);
  checkPort('host port', hostPort);
  checkPort('end of the host port range', hostPortEnd);
  if (hostPortEnd < hostPort) {
    throw new SluiceError(
      'ERR_PORT_BINDING',
      `invalid host port range: ${hostPort}-${hostPortEnd}, expected the lower port first`,
    );
  }
}

function checkAddress(whose: 'host' | 'container', ip: string): void {
  if (ip === '' || isIP(ip) !== 0) return;
  throw new SluiceError(
    'ERR_PORT_BINDING',
    `invalid ${whose} address: ${JSON.stringify(ip)}, expected an IPv4 or IPv6 address`,
  );
}

function checkPort(what: string, port: number): void {
  if (Number.isInteger(port) && port >= 0 && port <= MAX_PORT) return;
  throw new SluiceError(
    'ERR_PORT_BINDING',
    `invalid ${what}: ${port}, expected an integer from 0 to ${MAX_PORT}`,
  );
}
