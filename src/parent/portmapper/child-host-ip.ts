/**
 * The host's addresses as the engine sees them in the child namespace.
 *
 * Source: moby's `rlkclient` (ChildHostIP and AddPort), with an addition for requests without a host
 * address, which moby never makes.
 */

import { isIPv6 } from 'node:net';
import { SluiceError } from '../../msg/errors.js';
import { PROTOS, type Proto } from '../../msg/port.js';
import type { Info } from '../api/info.js';
import { isLoopback } from '../dial.js';
import { unmapped } from './compare.js';
import { PROTOCOL, type PortBindingReq } from './contract.js';

/** These publish nothing when they are asked. */
const WITHOUT_API: readonly string[] = ['none', 'implicit'];

/** What the port driver can do, out of `/v1/info`. */
export interface Reach {
  readonly driver: string;
  readonly protos: readonly string[];
  /** Stands for every host address where loopback addresses are not allowed. */
  readonly childIP?: string;
}

/** @throws SluiceError ERR_NO_PORT_DRIVER when nothing can be published */
export function reachOf({ networkDriver, portDriver }: PortMapperInfo): Reach {
  if (portDriver === undefined || WITHOUT_API.includes(portDriver.driver)) {
    throw new SluiceError(
      'ERR_NO_PORT_DRIVER',
      `rootlesskit's port driver is ${portDriver?.driver ?? 'none'}, which can't publish ports; start it with --port-driver=sluice, or run \`sluice attach\``,
    );
  }
  const { driver, protos } = portDriver;
  const reach = { driver, protos: protos ?? [] };
  if (!portDriver.disallowLoopbackChildIP) return reach;
  if (networkDriver?.childIP === undefined) {
    throw new SluiceError(
      'ERR_NO_CHILD_IP',
      `port driver ${driver} allows no loopback childIP, and network driver ${networkDriver?.driver ?? 'none'} has no other address; use --child-host-ip=loopback, or a network driver with a tap device`,
    );
  }
  return { ...reach, childIP: unmapped(networkDriver.childIP) };
}

export type PortMapperInfo = Pick<Info, 'networkDriver' | 'portDriver'>;

/**
 * The protocol to ask the port driver for: with the host address's family, or without a suffix
 * where there is none. Undefined for a protocol that no port driver knows.
 */
export function apiProto({ proto, hostIP = '' }: PortBindingReq): Proto | undefined {
  const name = Object.entries(PROTOCOL).find(([, number]) => number === proto)?.[0];
  const suffix = hostIP === '' ? '' : isIPv6(unmapped(hostIP)) ? '6' : '4';
  return PROTOS.find((known) => known === `${name}${suffix}`);
}

/** The end of a port in the child namespace. */
export interface ChildHost {
  readonly proto: Proto;
  /** moby's ChildHostIP. */
  readonly ip: string;
}

/** Undefined where the port driver doesn't serve that protocol or family. */
export function childHostOf(reach: Reach, req: PortBindingReq): ChildHost | undefined {
  const proto = apiProto(req);
  if (proto === undefined || !reach.protos.includes(proto)) return undefined;
  return { proto, ip: reach.childIP ?? loopbackFor(req) };
}

function loopbackFor({ hostIP = '', ip }: PortBindingReq): string {
  if (hostIP !== '' && isLoopback(unmapped(hostIP))) return unmapped(hostIP);
  const known = hostIP || ip;
  return known !== '' && isIPv6(unmapped(known)) ? '::1' : '127.0.0.1';
}

export function whyUnsupported(reach: Reach, req: PortBindingReq): string {
  const proto = apiProto(req) ?? `number ${req.proto}`;
  return `protocol ${proto} is not supported by port driver ${reach.driver}, which publishes ${reach.protos.join(', ')}`;
}
