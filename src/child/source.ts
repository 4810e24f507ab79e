/**
 * A server sees its client's own address and port wherever the kernel can bring the replies back:
 * the agent's socket is bound to that address (IP_TRANSPARENT), and the rules and routes that the
 * parent has set up deliver the replies here. Where that can't be, the flow bears an address of the
 * namespace, counted and told with the reason (`SOURCE_LOSSES`), or is refused where the user
 * requires client addresses.
 *
 * Silence is no reason: see `return-paths.ts`.
 */

import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import ipaddr from 'ipaddr.js';
import { AF_INET } from '../msg/linux.js';
import type { SourceLoss, SourcePolicy } from '../msg/source-address.js';
import type { ReturnPaths } from './return-paths.js';

/** proc(5): interface, destination 0, ..., mask 0. */
const DEFAULT_ROUTE = /^(\S+)\t0{8}\t(?:\S+\t){5}0{8}\t/gm;
/** Destination 0/0, ..., interface; the kernel's own entries to refuse what has no route are lo's. */
const DEFAULT_ROUTE_IPV6 = /^0{32} 00 .* (?!lo$)(\S+)$/gm;

const FAMILY_AND_PORT_BYTES = 4;
const IN6_ADDR_OFFSET = 8;
/** Networks of the namespace come and go with the engine's bridges. */
const NETWORKS_MAX_AGE_MS = 2000;
/** Ports and reasons that were told already are remembered up to this number. */
const MOST_TOLD = 65_536;

interface Network {
  /** The namespace's own address there. */
  readonly bytes: readonly number[];
  readonly prefixBits: number;
}

/** A flow that can't have its client's address. */
export interface Loss {
  readonly port: number;
  readonly loss: SourceLoss;
  readonly isRefused: boolean;
  /** Sockaddrs. */
  readonly client: Uint8Array;
  readonly server: Uint8Array;
}

/** What all protocols share. */
export interface SourceWatchers {
  readonly returnPaths: ReturnPaths;
  /** Told of the first flow of a port that a reason holds for. */
  onLoss(loss: Loss): void;
}

const NO_POLICY: SourcePolicy = { ipv4: false, ipv6: false, isRequired: false };

export class SourceAddresses {
  policy = NO_POLICY;
  kept = 0;
  readonly lost: Record<SourceLoss, number> = {
    disabled: 0,
    loopback: 0,
    family: 0,
    overlap: 0,
    local: 0,
    unreturned: 0,
    refused: 0,
  };
  /** Flows that were refused since their clients' addresses are required. */
  refused = 0;
  readonly returnPaths: ReturnPaths;
  readonly #reachesLocalServers: boolean;
  readonly #watchers: SourceWatchers;
  readonly #told = new Set<string>();
  #networks: Network[] = [];
  #networksAt = -Infinity;

  /**
   * Without `reachesLocalServers` the answer of a server in this namespace itself would not come
   * back: it is routed before any rule sees it, and no socket of UDP takes over a mark.
   */
  constructor(
    { reachesLocalServers }: { readonly reachesLocalServers: boolean },
    watchers: SourceWatchers,
  ) {
    this.#reachesLocalServers = reachesLocalServers;
    this.returnPaths = watchers.returnPaths;
    this.#watchers = watchers;
  }

  /** Servers of the client's family first, where that is what keeps its address. */
  inOrder(client: Uint8Array, servers: readonly Uint8Array[]): readonly Uint8Array[] {
    const isSame = (server: Uint8Array) => server[0] === client[0];
    if (servers.length < 2 || servers.every(isSame) || !servers.some(isSame)) return servers;
    const ofFamily = servers.filter(isSame);
    if (this.lossFor(client, ofFamily[0] as Uint8Array) !== undefined) return servers;
    return [...ofFamily, ...servers.filter((server) => !isSame(server))];
  }

  /** Why the client's address can't stand towards `server`; undefined when it can. */
  lossFor(client: Uint8Array, server: Uint8Array): SourceLoss | undefined {
    const isIPv4 = client[0] === AF_INET;
    if (!(isIPv4 ? this.policy.ipv4 : this.policy.ipv6)) return 'disabled';
    if (client[0] !== server[0]) return 'family';
    const ip = ipOf(client);
    if (isLoopbackIp(ip)) return 'loopback';
    this.#look(performance.now());
    const serverIp = ipOf(server);
    if (this.#networks.some((network) => isStuckIn(network, ip, serverIp))) return 'overlap';
    return !this.#reachesLocalServers && this.#isLocal(serverIp) ? 'local' : undefined;
  }

  /** Counts a flow that goes without its client's address, or is refused because of it. */
  count(loss: Loss): void {
    if (loss.isRefused) this.refused++;
    else this.lost[loss.loss]++;
    const key = `${loss.port} ${loss.loss} ${loss.isRefused}`;
    if (this.#told.has(key)) return;
    if (this.#told.size >= MOST_TOLD) this.#told.clear();
    this.#told.add(key);
    this.#watchers.onLoss(loss);
  }

  #isLocal(ip: Uint8Array): boolean {
    return isLoopbackIp(ip) || this.#networks.some(({ bytes }) => isSameIp(bytes, ip));
  }

  #look(now: number): void {
    if (now - this.#networksAt <= NETWORKS_MAX_AGE_MS) return;
    try {
      this.#networks = ownNetworks();
      this.#networksAt = now;
    } catch {
      // It takes a socket, and there may be no fd left for one: the last list stands.
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

function isSameIp(bytes: readonly number[], ip: Uint8Array): boolean {
  return bytes.length === ip.length && ip.every((byte, index) => byte === bytes[index]);
}

/**
 * Whether replies to `client` never leave the server's own network: it holds the client's address
 * too. An address of the namespace itself can't be a client's on the same machine either.
 */
function isStuckIn(network: Network, client: Uint8Array, server: Uint8Array): boolean {
  if (!contains(network, client)) return false;
  return contains(network, server) || isSameIp(network.bytes, client);
}

/**
 * The networks next to this namespace. In that of the default route are the clients, as pasta gives
 * the child the host's own: of it only the namespace's own address counts.
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
