/**
 * The client's address towards the server: the agent's socket is bound to it (IP_TRANSPARENT), and
 * the marks and routes that the parent has set up bring the replies back here.
 *
 * It is left out where it can't work, and counted with the reason: see `SOURCE_LOSSES`.
 */

import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import ipaddr from 'ipaddr.js';
import { AF_INET } from '../msg/linux.js';
import type { SourceFamilies } from '../msg/protocol.js';
import type { SourceLoss } from '../msg/stats.js';

/** proc(5): interface, destination 0, ..., mask 0. */
const DEFAULT_ROUTE = /^(\S+)\t0{8}\t(?:\S+\t){5}0{8}\t/gm;
/** Destination 0/0, ..., interface; the kernel's own entries to refuse what has no route are lo's. */
const DEFAULT_ROUTE_IPV6 = /^0{32} 00 .* (?!lo$)(\S+)$/gm;

const FAMILY_AND_PORT_BYTES = 4;
const IN6_ADDR_OFFSET = 8;
/** Networks of the namespace come and go with the engine's bridges. */
const NETWORKS_MAX_AGE_MS = 2000;

interface Network {
  readonly bytes: readonly number[];
  readonly prefixBits: number;
}

export class SourceAddresses {
  families: SourceFamilies = { ipv4: false, ipv6: false };
  kept = 0;
  readonly lost: Record<SourceLoss, number> = {
    disabled: 0,
    loopback: 0,
    family: 0,
    overlap: 0,
    local: 0,
    refused: 0,
  };
  readonly #reachesLocalServers: boolean;
  #networks: Network[] = [];
  #networksAt = -Infinity;

  /**
   * Without `reachesLocalServers` what a server in this namespace itself answers would not come
   * back: it is routed before any rule sees it, and no socket of UDP takes over a mark.
   */
  constructor({ reachesLocalServers }: { readonly reachesLocalServers: boolean }) {
    this.#reachesLocalServers = reachesLocalServers;
  }

  /** Servers of the client's family first, where that is what keeps its address. */
  inOrder(client: Uint8Array, servers: readonly Uint8Array[]): readonly Uint8Array[] {
    const isSame = (server: Uint8Array) => server[0] === client[0];
    if (servers.length < 2 || servers.every(isSame) || !servers.some(isSame)) return servers;
    if (this.lossFor(client, client) !== undefined) return servers;
    return [...servers.filter(isSame), ...servers.filter((server) => !isSame(server))];
  }

  /** Why the client's address can't stand towards `server`; undefined when it can. */
  lossFor(client: Uint8Array, server: Uint8Array): SourceLoss | undefined {
    const isIPv4 = client[0] === AF_INET;
    if (!(isIPv4 ? this.families.ipv4 : this.families.ipv6)) return 'disabled';
    if (client[0] !== server[0]) return 'family';
    const ip = ipOf(client);
    if (isLoopbackIp(ip)) return 'loopback';
    this.#look(performance.now());
    if (this.#networks.some((network) => contains(network, ip))) return 'overlap';
    return !this.#reachesLocalServers && this.#isLocal(ipOf(server)) ? 'local' : undefined;
  }

  #isLocal(ip: Uint8Array): boolean {
    if (isLoopbackIp(ip)) return true;
    return this.#networks.some(
      ({ bytes }) => bytes.length === ip.length && ip.every((byte, index) => byte === bytes[index]),
    );
  }

  #look(now: number): void {
    if (now - this.#networksAt <= NETWORKS_MAX_AGE_MS) return;
    try {
      this.#networks = ownNetworks();
      this.#networksAt = now;
    } catch {
      // It takes a socket, and there may be no fd left for one: what was seen last stands.
    }
  }
}

export function isLoopback(sockaddr: Uint8Array): boolean {
  return isLoopbackIp(ipOf(sockaddr));
}

/** The address bytes of a sockaddr: 4 or 16. */
function ipOf(sockaddr: Uint8Array): Uint8Array {
  return sockaddr[0] === AF_INET
    ? sockaddr.subarray(FAMILY_AND_PORT_BYTES, FAMILY_AND_PORT_BYTES + 4)
    : sockaddr.subarray(IN6_ADDR_OFFSET, IN6_ADDR_OFFSET + 16);
}

function isLoopbackIp(ip: Uint8Array): boolean {
  return ip.length === 4
    ? ip[0] === 127
    : ip.every((byte, index) => byte === (index === 15 ? 1 : 0));
}

/**
 * The networks next to this namespace, which answer a client's address by themselves. That of the
 * default route is where clients come from, as pasta gives the child the host's own; of it only the
 * namespace's own address stands in the way.
 */
function ownNetworks(): Network[] {
  const outside = new Set([
    ...defaultRoutes('/proc/self/net/route', DEFAULT_ROUTE),
    ...defaultRoutes('/proc/self/net/ipv6_route', DEFAULT_ROUTE_IPV6),
  ]);
  return Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses.map(({ cidr }) => {
      const [ip, prefixBits] = ipaddr.parseCIDR(cidr as string);
      const bytes = ip.toByteArray();
      return { bytes, prefixBits: outside.has(name) ? 8 * bytes.length : prefixBits };
    }),
  );
}

/** Names of interfaces. */
function defaultRoutes(file: string, pattern: RegExp): string[] {
  try {
    return [...readFileSync(file, 'latin1').matchAll(pattern)].map(([, name = '']) => name);
  } catch {
    // A kernel without IPv6 has no such file.
    return [];
  }
}

function contains({ bytes, prefixBits }: Network, ip: Uint8Array): boolean {
  if (bytes.length !== ip.length) return false;
  return bytes.every((byte, index) => {
    const bits = Math.min(Math.max(prefixBits - 8 * index, 0), 8);
    const mask = (0xff << (8 - bits)) & 0xff;
    return (byte & mask) === ((ip[index] as number) & mask);
  });
}
