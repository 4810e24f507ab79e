/** The rules that mark connections and packets: an nftables table, or chains of iptables. */

import { type Failures, failuresOf } from './failures.js';
import { IPTABLES_DELETE, IPTABLES_TABLE, NFT_DELETE, NFT_TABLE } from './rules.js';
import type { Tools } from './tools.js';

export type Firewall = 'nftables' | 'iptables';

/**
 * The lock in /run is root's, and need not be shared: engines don't write to the mangle table.
 * Every process has this file, and may open and lock it.
 */
const XTABLES_LOCKFILE = '/proc/self/comm';

export async function setUpFirewall(
  tools: Tools,
): Promise<{ via: Firewall | 'none'; failures: Failures }> {
  const nft = await runNft(tools, NFT_TABLE);
  if (nft === undefined) return { via: 'nftables', failures: {} };
  const { ipv4, ipv6 } = await runIptables(tools, IPTABLES_TABLE);
  if (ipv4 === undefined || ipv6 === undefined) {
    return { via: 'iptables', failures: failuresOf(ipv4, ipv6) };
  }
  const failure = `${nft}; ${ipv4 === ipv6 ? ipv4 : `${ipv4}; ${ipv6}`}`;
  return { via: 'none', failures: failuresOf(failure, failure) };
}

export async function removeFirewall(tools: Tools, via: Firewall): Promise<void> {
  if (via === 'nftables') await runNft(tools, NFT_DELETE);
  else await runIptables(tools, IPTABLES_DELETE);
}

/** Undefined on success, else why not. */
async function runNft(tools: Tools, input: string): Promise<string | undefined> {
  if (!tools.has('nft')) return 'nft was not found; install nftables';
  const { failure } = await tools.run('nft', ['-f', '-'], { input });
  return failure && `nft: ${failure}`;
}

async function runIptables(tools: Tools, transactions: readonly string[]): Promise<Failures> {
  const [ipv4, ipv6] = await Promise.all([
    restore(tools, 'iptables-restore', transactions),
    restore(tools, 'ip6tables-restore', transactions),
  ]);
  return failuresOf(ipv4, ipv6);
}

/** The first transaction that goes through is the one. */
async function restore(
  tools: Tools,
  program: string,
  transactions: readonly string[],
): Promise<string | undefined> {
  if (!tools.has(program)) return `${program} was not found; install iptables`;
  let failure: string | undefined;
  for (const input of transactions) {
    const options = { input, env: { XTABLES_LOCKFILE } };
    ({ failure } = await tools.run(program, ['--noflush'], options));
    if (failure === undefined) break;
  }
  return failure;
}
