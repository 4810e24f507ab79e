/**
 * The contract of a port mapper, with moby's names: which host ports a container gets.
 *
 * Source: moby `daemon/libnetwork/portmapperapi`. What of it concerns the engine's own process (its
 * BoundSocket, its StopProxy) is left out.
 */

import type { Address } from '../../msg/sockaddr.js';

/** Protocol numbers of IP, by the names that a port driver has for them. */
export const PROTOCOL = { tcp: 6, udp: 17, sctp: 132 } as const;

/** moby's `types.PortBinding`. */
export interface PortBindingAddresses {
  /** A protocol number of IP. */
  readonly proto: number;
  /** The container's address. */
  readonly ip: string;
  /** The container's port. */
  readonly port: number;
  /** The host's address; empty or absent means every one of both families. */
  readonly hostIP?: string;
  /** An exact port, the first of a range, or 0 for an ephemeral one. */
  readonly hostPort: number;
  /** The last port of a range, else the same as `hostPort`. */
  readonly hostPortEnd: number;
}

export interface PortBindingReq extends PortBindingAddresses {
  /** The name of the port mapper that is to process it. */
  readonly mapper?: string;
}

export interface PortBinding extends PortBindingReq {
  /** The host address as seen in the child namespace; absent where the binding isn't supported. */
  readonly childHostIP?: string;
  /** What the engine's firewall should translate to `ip` and `port`. Goes before `forwarding`. */
  readonly nat?: Address;
  /** Whether the engine's firewall should let traffic through to `ip` and `port`. */
  readonly forwarding: boolean;
  /** The port driver can't serve this protocol or family: the binding was left out. */
  readonly rootlesskitUnsupported: boolean;
  /** Why it was left out. */
  readonly reason?: string;
  /** Removes the port from the port driver. Absent where it was left out. */
  readonly portDriverRemove?: () => Promise<void>;
}

/** Safe for concurrent calls. Every rejection is a SluiceError. */
export interface PortMapper {
  /**
   * Maps all of the requests or none: bindings in their order. Requests that ask for the same range
   * (or an ephemeral port) for the same container port get one host port on all their addresses.
   * Whatever is promised is bound. An aborted `signal` undoes the call.
   */
  mapPorts(reqs: readonly PortBindingReq[], signal?: AbortSignal): Promise<PortBinding[]>;
  /** Releases all of them, and rejects with every failure there was. */
  unmapPorts(bindings: readonly PortBinding[]): Promise<void>;
}

/**
 * The binding with the host address that the engine sees. Without one where the binding isn't
 * supported.
 */
export function childPortBinding(binding: PortBinding): PortBindingAddresses {
  const { proto, ip, port, hostPort, hostPortEnd, childHostIP } = binding;
  const hostIP = childHostIP === undefined ? {} : { hostIP: childHostIP };
  return { proto, ip, port, ...hostIP, hostPort, hostPortEnd };
}

export function isRange({ hostPort, hostPortEnd }: PortBindingReq): boolean {
  return hostPort === 0 || hostPort !== hostPortEnd;
}
