/**
 * A DNAT rule of the container engine's, as far as it matters here, and which targets it gives.
 *
 * Rules are anybody's in the child namespaces. The parsers take a rule only where they understand
 * every match in it, and of such a rule only an address and a port.
 */

import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { Transport } from '../../msg/port.js';
import { type Address, familyOf } from '../../msg/sockaddr.js';

export interface DnatRule {
  readonly proto: Transport;
  /** The destination; absent means every one of the target's family. Canonical, as all addresses. */
  readonly ip?: string;
  /** 1 to 65535, as `target.port` is. */
  readonly port: number;
  readonly target: Address;
}

export interface DnatQuery {
  readonly proto: Transport;
  readonly ip: string;
  readonly port: number;
}

/** In ipaddr.js' words. An IPv4-mapped address would be dialled as the IPv4 address in it. */
const NO_TARGETS: ReadonlySet<string> = new Set([
  'unspecified',
  'loopback',
  'multicast',
  'broadcast',
  'linkLocal',
  'ipv4Mapped',
]);

/** The canonical form, or undefined for what is no address without a zone. */
export function parseAddress(text: string): string | undefined {
  return isIP(text) === 0 || text.includes('%') ? undefined : ipaddr.parse(text).toString();
}

export function parsePort(text: string): number | undefined {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65535 ? port : undefined;
}

/** The canonical form of an address that a container can have. */
export function parseTargetIP(text: string): string | undefined {
  const ip = parseAddress(text);
  return ip === undefined || NO_TARGETS.has(ipaddr.parse(ip).range()) ? undefined : ip;
}

/** Where the rules send a packet for `query`: by rules for its very address first, then in order. */
export function targetsOf(rules: readonly DnatRule[], query: DnatQuery): Address[] {
  const ip = parseAddress(query.ip);
  if (ip === undefined) return [];
  const fitting = rules.filter(
    (rule) =>
      rule.proto === query.proto &&
      rule.port === query.port &&
      (rule.ip ?? ip) === ip &&
      familyOf(rule.target.ip) === familyOf(ip),
  );
  const exact = fitting.filter((rule) => rule.ip !== undefined);
  const general = fitting.filter((rule) => rule.ip === undefined);
  const targets = [...exact, ...general].map(({ target }) => target);
  // The same rule is seen twice where two tools can read it.
  return [...new Map(targets.map((target) => [`${target.ip} ${target.port}`, target])).values()];
}
