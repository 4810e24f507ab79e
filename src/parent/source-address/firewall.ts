/** The rules that mark connections and packets: an nftables table, or chains of iptables. */

import { type Failures, failuresOf } from './failures.js';
import {
  MANGLE_CHAINS,
  mangleTransactions,
  NAT_CHAINS,
  natTransactions,
  removeTransactions,
} from './iptables-chains.js';
import {
  NFT_DELETE,
  NFT_FEATURES,
  NFT_LIST,
  type NftFeatures,
  nftTransactions,
} from './nft-table.js';
import type { Part } from './part.js';
import { type Family, FAMILIES } from './rules.js';
import type { Tools } from './tools.js';

export type FirewallKind = 'nftables' | 'iptables';

export interface Firewall extends Part {
  readonly via: FirewallKind;
  /** For people: what goes without because the kernel or the tool can't do it. */
  readonly lacks: Lacks;
}

/** By the flows that go without. */
export interface Lacks {
  readonly all?: string;
  readonly udp?: string;
}

/**
 * The lock in /run is root's, and need not be shared: a transaction that meets another one is tried
 * again by the kernel's own means. Every process has this file, and may open and lock it.
 */
const XTABLES_LOCKFILE = '/proc/self/comm';

const NO_NAT =
  'an engine whose MASQUERADE rule covers the client puts the gateway in its place: ' +
  'the kernel has no NAT in nftables (nft_nat)';
const NO_SOCKET =
  'flows that conntrack forgets are cut off: the kernel lacks nft_socket or nft_reject';
const NO_NOTES =
  'a server that speaks first after its session has ended is not refused: nft was not found or failed';

/** `firewall` is undefined where neither can be had. */
export async function setUpFirewall(
  tools: Tools,
): Promise<{ firewall: Firewall | undefined; failures: Failures }> {
  const nft = await setUpNft(tools);
  if (typeof nft === 'object') return { firewall: nft, failures: {} };
  const iptables = iptablesPart(tools);
  const failures = await iptables.put();
  const { ipv4, ipv6 } = failures;
  if (ipv4 === undefined || ipv6 === undefined) return { firewall: iptables, failures };
  const failure = `${nft}; ${ipv4 === ipv6 ? ipv4 : `${ipv4}; ${ipv6}`}`;
  return { firewall: undefined, failures: failuresOf(failure, failure) };
}

/** A text says why not. */
async function setUpNft(tools: Tools): Promise<Firewall | string> {
  let failure: string | undefined;
  for (const features of NFT_FEATURES) {
    const outcome = await putTable(tools, features);
    if (outcome.failure === undefined) return nftPart(tools, features);
    // The most that was asked for says best what is wrong.
    failure ??= outcome.failure;
    if (!outcome.hasRun) break;
  }
  return failure ?? '';
}

async function putTable(tools: Tools, features: NftFeatures) {
  let outcome: NftOutcome = { failure: undefined, hasRun: true };
  for (const input of nftTransactions(features)) {
    outcome = await runNft(tools, input);
    if (outcome.failure === undefined || !outcome.hasRun) break;
  }
  return outcome;
}

function nftPart(tools: Tools, features: NftFeatures): Firewall {
  const { nat, socket } = features;
  return {
    kind: 'firewall',
    via: 'nftables',
    name: 'the nftables table inet sluice',
    lacks: { ...lackOf(nat, socket) },
    async put() {
      const { failure } = await putTable(tools, features);
      return failuresOf(failure, failure);
    },
    async read() {
      const { stdout, failure } = await tools.run('nft', NFT_LIST);
      return failure === undefined ? stdout : undefined;
    },
    async remove() {
      await runNft(tools, NFT_DELETE);
    },
  };
}

function lackOf(nat: boolean, socket: boolean): Lacks {
  const lacks = [...(nat ? [] : [NO_NAT]), ...(socket ? [] : [NO_SOCKET])];
  return lacks.length === 0 ? {} : { all: lacks.join('; ') };
}

interface NftOutcome {
  /** Undefined on success. */
  readonly failure: string | undefined;
  /** It said itself what is wrong, so another input may do. */
  readonly hasRun: boolean;
}

async function runNft(tools: Tools, input: string): Promise<NftOutcome> {
  if (!tools.has('nft')) return { failure: 'nft was not found; install nftables', hasRun: false };
  const { failure, hasRun } = await tools.run('nft', ['-f', '-'], { input });
  return { failure: failure && `nft: ${failure}`, hasRun };
}

const RESTORE: Readonly<Record<Family, string>> = {
  ipv4: 'iptables-restore',
  ipv6: 'ip6tables-restore',
};
const SAVE: Readonly<Record<Family, string>> = { ipv4: 'iptables-save', ipv6: 'ip6tables-save' };

async function forFamilies(run: (family: Family) => Promise<string | undefined>) {
  const [ipv4, ipv6] = await Promise.all(FAMILIES.map(run));
  return failuresOf(ipv4, ipv6);
}

function iptablesPart(tools: Tools): Firewall {
  return {
    kind: 'firewall',
    via: 'iptables',
    name: 'the chains SLUICE-* of iptables',
    lacks: { udp: NO_NOTES },
    put: () =>
      forFamilies(async (family) => {
        // Without NAT in the kernel no engine translates addresses either.
        await restore(tools, family, natTransactions(family));
        return restore(tools, family, mangleTransactions(family));
      }),
    async read() {
      const saved = await Promise.all(
        FAMILIES.filter((family) => tools.has(SAVE[family])).map((family) => save(tools, family)),
      );
      return saved.every((text) => text !== undefined) ? saved.join('\n') : undefined;
    },
    async remove() {
      await forFamilies(async (family) => {
        await restore(tools, family, removeTransactions('nat'));
        return restore(tools, family, removeTransactions('mangle'));
      });
    },
  };
}

/** The first transaction that goes through is the one. */
async function restore(
  tools: Tools,
  family: Family,
  transactions: readonly string[],
): Promise<string | undefined> {
  const program = RESTORE[family];
  if (!tools.has(program)) return `${program} was not found; install iptables`;
  let failure: string | undefined;
  for (const input of transactions) {
    const options = { input, env: { XTABLES_LOCKFILE } };
    const outcome = await tools.run(program, ['--noflush'], options);
    ({ failure } = outcome);
    if (failure === undefined || !outcome.hasRun) break;
  }
  return failure;
}

const OURS = new RegExp(Object.values({ ...MANGLE_CHAINS, ...NAT_CHAINS }).join('|'));

/** Our lines, and which rule of POSTROUTING is the first: ours has to be. Undefined when it isn't. */
async function save(tools: Tools, family: Family): Promise<string | undefined> {
  const { stdout, failure } = await tools.run(SAVE[family], [], { env: { XTABLES_LOCKFILE } });
  if (failure !== undefined) return undefined;
  const lines = stdout.split('\n');
  const first = lines.find(
    (line) => line.startsWith('-A POSTROUTING') && !/ -j CHECKSUM/.test(line),
  );
  const ours = lines.filter((line) => line.startsWith('-A') && OURS.test(line));
  return [...ours, `first: ${first ?? ''}`].join('\n');
}
