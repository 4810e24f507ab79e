/**
 * The rules that bring replies to a client's address back to the agent, as the tools read them.
 *
 * The agent's packets bear OUT_MARK and give their connection CT_MARK. A container's reply takes
 * that mark as it comes in, and the routing table delivers it here although the address is
 * somebody else's. A server in this namespace answers before any rule sees the packet: its socket
 * takes LOCAL_MARK from the SYN (tcp_fwmark_accept), resets take it too (fwmark_reflect), so they
 * are routed by it from the start.
 */

import { CT_MARK, LOCAL_MARK, MARK_MASK, OUT_MARK } from '../../msg/marks.js';

export type Family = 'ipv4' | 'ipv6';
export const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];

/** Of the routing table: "SL" in ASCII, far from the numbers that people and other tools choose. */
const ROUTE_TABLE = 0x534c;

/** Before other policy rules, which would send the replies elsewhere; the first of three. */
const RULE_PRIORITY = 300;

const OTHER_BITS = ~MARK_MASK >>> 0;

function hex(mark: number): string {
  return `0x${mark.toString(16)}`;
}

function bearing(expression: string, mark: number): string {
  return `${expression} & ${hex(MARK_MASK)} == ${hex(mark)}`;
}

function set(expression: string, mark: number): string {
  return `${expression} set ${expression} & ${hex(OTHER_BITS)} | ${hex(mark)}`;
}

/** To have the table deleted, or made anew, in one transaction: deleting needs it to be there. */
export const NFT_DELETE = 'table inet sluice\ndelete table inet sluice\n';

/**
 * `output` sees packets before the mangle rules of others could change their mark, `prerouting`
 * after them, as the last thing before routing.
 */
export const NFT_TABLE = `${NFT_DELETE}table inet sluice {
  chain output {
    type filter hook output priority mangle - 10; policy accept;
    ${bearing('meta mark', OUT_MARK)} ${set('ct mark', CT_MARK)}
  }
  chain prerouting {
    type filter hook prerouting priority filter; policy accept;
    ${bearing('ct mark', CT_MARK)} iifname != "lo" ${set('meta mark', CT_MARK)}
    ${bearing('ct mark', CT_MARK)} iifname "lo" ${set('meta mark', LOCAL_MARK)}
  }
}
`;

function masked(mark: number): string {
  return `${hex(mark)}/${hex(MARK_MASK)}`;
}

const CHAINS = { OUTPUT: 'SLUICE-OUTPUT', PREROUTING: 'SLUICE-PREROUTING' } as const;

function mangle(lines: readonly string[]): string {
  return ['*mangle', ...lines, 'COMMIT', ''].join('\n');
}

/** One line for each chain of ours. */
function forChains(line: (hook: string, chain: string) => string): string[] {
  return Object.entries(CHAINS).map(([hook, chain]) => line(hook, chain));
}

const DELETE_JUMPS = forChains((hook, chain) => `-D ${hook} -j ${chain}`);
const DELETE_CHAINS = forChains((_, chain) => `-F ${chain}\n-X ${chain}`);
/** Declaring a chain that exists empties it. */
const MAKE_CHAINS = [
  ...forChains((_, chain) => `:${chain} - [0:0]`),
  `-A ${CHAINS.OUTPUT} -m mark --mark ${masked(OUT_MARK)} -j CONNMARK --set-xmark ${masked(CT_MARK)}`,
  `-A ${CHAINS.PREROUTING} ! -i lo -m connmark --mark ${masked(CT_MARK)} -j MARK --set-xmark ${masked(CT_MARK)}`,
  `-A ${CHAINS.PREROUTING} -i lo -m connmark --mark ${masked(CT_MARK)} -j MARK --set-xmark ${masked(LOCAL_MARK)}`,
  `-I OUTPUT -j ${CHAINS.OUTPUT}`,
  `-A PREROUTING -j ${CHAINS.PREROUTING}`,
];

/**
 * For iptables-restore, which has no "if it exists": the first of these transactions that goes
 * through does the job. The first replaces what a predecessor left.
 */
export const IPTABLES_TABLE = [mangle([...DELETE_JUMPS, ...MAKE_CHAINS]), mangle(MAKE_CHAINS)];
export const IPTABLES_DELETE = [mangle([...DELETE_JUMPS, ...DELETE_CHAINS]), mangle(DELETE_CHAINS)];

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

export function routingDelete(family: Family): string {
  return [...POLICY.map((rule) => `rule del ${rule}`), `route del ${route(family)}`, ''].join('\n');
}
