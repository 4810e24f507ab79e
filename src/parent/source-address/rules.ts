/**
 * The rules that bring replies to a client's address back to the agent, as the tools read them.
 *
 * The agent's packets bear OUT_MARK. A container's reply belongs to a transparent socket of the
 * agent, or to a connection with CT_MARK, and gets that mark as it comes in; the routing table
 * delivers it here although the address is somebody else's. A server in this namespace answers
 * before any rule sees the packet: its socket takes LOCAL_MARK from the SYN (tcp_fwmark_accept),
 * resets take it too (fwmark_reflect), so they are routed by it from the start.
 */

import { CT_MARK, LOCAL_MARK, MARK_MASK } from '../../msg/marks.js';

export type Family = 'ipv4' | 'ipv6';
export const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];

/** Of the routing table: "SL" in ASCII, far from the numbers that people and other tools choose. */
export const ROUTE_TABLE = 0x534c;

/** Before other policy rules, which would send the replies elsewhere; the first of three. */
const RULE_PRIORITY = 300;

export function hex(mark: number): string {
  return `0x${mark.toString(16)}`;
}

export function masked(mark: number): string {
  return `${hex(mark)}/${hex(MARK_MASK)}`;
}

/**
 * With src_valid_mark on, which namespaces inherit from the host (wg-quick sets it), the kernel
 * looks up the way back to a reply's sender with the reply's mark, as if for a packet of its own
 * (iif lo): that one is for the main table.
 */
const POLICY = [
  `iif lo fwmark ${masked(CT_MARK)} lookup main`,
  `fwmark ${masked(CT_MARK)} lookup ${ROUTE_TABLE}`,
  `fwmark ${masked(LOCAL_MARK)} lookup ${ROUTE_TABLE}`,
].map((rule, index) => `priority ${RULE_PRIORITY + index} ${rule}`);

/** `ip rule show` begins the lines of our rules with one of these. */
export const POLICY_PREFIXES = POLICY.map((_, index) => `${RULE_PRIORITY + index}:`);

const EVERYTHING: Readonly<Record<Family, string>> = { ipv4: '0.0.0.0/0', ipv6: '::/0' };

function route(family: Family): string {
  return `local ${EVERYTHING[family]} dev lo table ${ROUTE_TABLE}`;
}

/**
 * For `ip -batch`. The kernel refuses a rule that exists, and that is well. It refuses a route by
 * way of lo while that is down, and the agent, which needs it too, may not have started yet.
 */
export function routingAdd(family: Family): string {
  const rules = POLICY.map((rule) => `rule add ${rule}`);
  return ['link set lo up', `route replace ${route(family)}`, ...rules, ''].join('\n');
}

/** Prints our routing table, then the rules of everybody. */
export const ROUTING_SHOW = `route show table ${ROUTE_TABLE}\nrule show\n`;

export function routingDelete(family: Family): string {
  return [...POLICY.map((rule) => `rule del ${rule}`), `route del ${route(family)}`, ''].join('\n');
}
