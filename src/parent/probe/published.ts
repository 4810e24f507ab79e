/** Which published port an address of the host is. */
import { networkInterfaces } from 'node:os';
import { type Status, transportOf } from '../../msg/port.js';
import { parseIP } from '../../msg/sockaddr.js';
import { isLoopback } from '../dial.js';
import { hostAddresses, overlaps } from '../listen.js';
import type { Endpoint, Target } from './target.js';

/** Of ports that are named to who asked for another one. */
const MOST_NAMED = 5;

/** Whether a connection there stays on this machine. */
export function isOfThisHost({ ip }: Endpoint): boolean {
  if (isLoopback(ip)) return true;
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const asked = parseIP(ip).toString();
  return own.some(({ address }) => parseIP(address).toString() === asked);
}

export function portAt(ports: readonly Status[], endpoint: Endpoint): Status | undefined {
  return ports.find((port) => isPort(port, endpoint) && listensOn(port, endpoint));
}

/** The addresses of the host that a client can ask for the target's port; wildcards as loopback. */
export function publishedAt(ports: readonly Status[], { port, transport }: Target): Endpoint[] {
  const addresses = ports
    .filter((one) => isPort(one, { port, transport }))
    .flatMap(({ spec }) => hostAddresses(spec))
    .map(({ ip }) => connectable(ip));
  return [...new Set(addresses)].map((ip) => ({ ip, port, transport }));
}

/** The same port on other addresses; else those that the user may have meant, the likeliest first. */
export function portsLike(ports: readonly Status[], endpoint: Endpoint): Status[] {
  const same = ports.filter((one) => isPort(one, endpoint));
  if (same.length > 0) return same;
  const { port, transport } = endpoint;
  const distance = ({ spec }: Status): number =>
    Math.abs(spec.parentPort - port) + (transportOf(spec.proto) === transport ? 0 : 0.5);
  const leadsTo = ({ spec }: Status): number => (spec.childPort === port ? 0 : 1);
  return ports
    .toSorted((one, other) => leadsTo(one) - leadsTo(other) || distance(one) - distance(other))
    .slice(0, MOST_NAMED);
}

export function isPort({ spec }: Status, { port, transport }: Omit<Target, 'host'>): boolean {
  return spec.parentPort === port && transportOf(spec.proto) === transport;
}

function listensOn({ spec }: Status, { ip, port }: Endpoint): boolean {
  const asked = { ip, port, isOptional: false };
  return hostAddresses(spec).some((address) => overlaps(address, asked));
}

function connectable(ip: string): string {
  if (parseIP(ip).range() !== 'unspecified') return ip;
  return ip.includes(':') ? '::1' : '127.0.0.1';
}
