/**
 * The same as nft-table.ts for iptables-restore, for machines without nft. It can't remember UDP
 * exchanges without another tool (ipset).
 *
 * iptables-restore has no "if it exists": of the transactions of a step, the first that goes through
 * does the job.
 */

import { CANARY_IPV4, CANARY_IPV6, CT_MARK, LOCAL_MARK, OUT_MARK } from '../../msg/marks.js';
import { type Family, masked } from './rules.js';

export const MANGLE_CHAINS = { OUTPUT: 'SLUICE-OUTPUT', PREROUTING: 'SLUICE-PREROUTING' } as const;
export const NAT_CHAINS = { POSTROUTING: 'SLUICE-POSTROUTING' } as const;

type Chains = Readonly<Record<string, string>>;

const CANARY: Readonly<Record<Family, string>> = {
  ipv4: `-d ${CANARY_IPV4} -p icmp --icmp-type echo-reply`,
  ipv6: `-d ${CANARY_IPV6} -p icmpv6 --icmpv6-type echo-reply`,
};

function mangleRules(family: Family, hasSocket: boolean): string[] {
  const { OUTPUT, PREROUTING } = MANGLE_CHAINS;
  const deliver = `-j MARK --set-xmark ${masked(CT_MARK)}`;
  const ours = `-m connmark --mark ${masked(CT_MARK)}`;
  return [
    `-A ${OUTPUT} -m mark --mark ${masked(OUT_MARK)} -j CONNMARK --set-xmark ${masked(CT_MARK)}`,
    `-A ${PREROUTING} -i lo ${ours} -j MARK --set-xmark ${masked(LOCAL_MARK)}`,
    `-A ${PREROUTING} ! -i lo ${ours} ${deliver}`,
    ...(hasSocket ? [`-A ${PREROUTING} ! -i lo -m socket --transparent ${deliver}`] : []),
    `-A ${PREROUTING} ${CANARY[family]} ${deliver}`,
    `-I OUTPUT -j ${OUTPUT}`,
    `-A PREROUTING -j ${PREROUTING}`,
  ];
}

/** To map a source to itself. */
const EVERYTHING: Readonly<Record<Family, string>> = { ipv4: '0.0.0.0/0', ipv6: '::/0' };

/** ACCEPT only skips the rules below, in this chain: later NAT chains of others go on. */
function natRules(family: Family, hasNetmap: boolean): string[] {
  const target = hasNetmap ? `NETMAP --to ${EVERYTHING[family]}` : 'ACCEPT';
  const { POSTROUTING } = NAT_CHAINS;
  return [
    `-A ${POSTROUTING} -m mark --mark ${masked(OUT_MARK)} -j ${target}`,
    `-I POSTROUTING -j ${POSTROUTING}`,
  ];
}

/** The best that a kernel could take first. */
export function mangleTransactions(family: Family): readonly string[] {
  return [true, false].flatMap((has) => put('mangle', MANGLE_CHAINS, mangleRules(family, has)));
}

export function natTransactions(family: Family): readonly string[] {
  return [true, false].flatMap((has) => put('nat', NAT_CHAINS, natRules(family, has)));
}

/** The first replaces what is there. Declaring a chain that exists empties it. */
function put(table: string, chains: Chains, rules: readonly string[]): string[] {
  const declare = Object.values(chains).map((chain) => `:${chain} - [0:0]`);
  const add = [...declare, ...rules];
  return [restored(table, [...deleteJumps(chains), ...add]), restored(table, add)];
}

export function removeTransactions(table: 'mangle' | 'nat'): readonly string[] {
  const chains = table === 'mangle' ? MANGLE_CHAINS : NAT_CHAINS;
  const remove = Object.values(chains).map((chain) => `-F ${chain}\n-X ${chain}`);
  return [restored(table, [...deleteJumps(chains), ...remove]), restored(table, remove)];
}

function deleteJumps(chains: Chains): string[] {
  return Object.entries(chains).map(([hook, chain]) => `-D ${hook} -j ${chain}`);
}

function restored(table: string, lines: readonly string[]): string {
  return [`*${table}`, ...lines, 'COMMIT', ''].join('\n');
}
