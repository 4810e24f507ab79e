/**
 * Which tools know the rules of the engine at hand, and what they say.
 *
 * nft and iptables-nft read the same kernel tables, but each shows only its own kind of DNAT. The
 * tables of iptables-legacy are others; as asking for them makes them and loads their modules, it
 * is asked only where they are in use.
 */

import { SluiceError } from '../../msg/errors.js';
import { parseIptables } from './iptables.js';
import { hasNativeNat } from './nft-json.js';
import type { DnatRule } from './rule.js';
import { type Finished, NOT_FOUND, type Run } from './tools.js';

/** @param tool the one that failed */
export type OnProblem = (tool: string, problem: SluiceError) => void;

type Iptables = 'iptables' | 'ip6tables';
type Variant = 'nft' | 'legacy';

const LIST_CHAINS = ['nft', '-j', 'list', 'chains'];
const LIST_RULESET = ['nft', '-j', 'list', 'ruleset'];
const LIST_NAT = ['--wait', '-t', 'nat', '-S'];

/** Of what a tool prints as its reason. */
const MAX_REASON_LENGTH = 200;

/** The tables that iptables-legacy has made in the reader's network namespace, one in a line. */
const TABLE_NAMES: Readonly<Record<Iptables, string>> = {
  iptables: '/proc/net/ip_tables_names',
  ip6tables: '/proc/net/ip6_tables_names',
};

/** The rules that any of the tools knows; a tool that is missing knows none, as one that fails. */
export async function readRules(run: Run, onProblem: OnProblem): Promise<DnatRule[]> {
  const attempt = (tool: string, reading: Promise<DnatRule[] | undefined>) =>
    reading.catch((error: SluiceError) => {
      onProblem(tool, error);
      return [];
    });
  const plain = plainVariant(run);
  const legacy = legacyInUse(run, plain);
  const readings = await Promise.all([
    attempt('nft', listNft(run)),
    attempt('iptables-nft', listNat(run, 'iptables', 'nft', plain)),
    attempt('ip6tables-nft', listNat(run, 'ip6tables', 'nft', plain)),
    attempt('iptables-legacy', listLegacy(run, 'iptables', legacy, plain)),
    attempt('ip6tables-legacy', listLegacy(run, 'ip6tables', legacy, plain)),
  ]);
  if ((await plain) === undefined && readings.every((rules) => rules === undefined)) {
    onProblem('all', noTools());
  }
  return readings.flatMap((rules) => rules ?? []);
}

/** Chains first: the whole ruleset of iptables-nft takes nft 100 ms at 500 ports, for nothing. */
async function listNft(run: Run): Promise<DnatRule[] | undefined> {
  const isNative = await list(run, LIST_CHAINS, hasNativeNat);
  if (isNative === undefined) return undefined;
  if (!isNative) return [];
  const { parseNft } = await import('./nft.js');
  return list(run, LIST_RULESET, parseNft);
}

/** Undefined where the tool is missing. */
async function list<T>(
  run: Run,
  command: readonly string[],
  parse: (text: string) => T,
): Promise<T | undefined> {
  const finished = await run(command);
  if (finished.exitCode === NOT_FOUND) return undefined;
  if (finished.exitCode !== 0) throw failed(command, finished);
  return parse(finished.stdout);
}

/** By the variant's own name, else by the plain one where that is this variant. */
async function listNat(
  run: Run,
  tool: Iptables,
  variant: Variant,
  plain: Promise<Variant | undefined>,
): Promise<DnatRule[] | undefined> {
  const rules = await list(run, [`${tool}-${variant}`, ...LIST_NAT], parseIptables);
  if (rules !== undefined || (await plain) !== variant) return rules;
  return list(run, [tool, ...LIST_NAT], parseIptables);
}

async function listLegacy(
  run: Run,
  tool: Iptables,
  inUse: Promise<ReadonlySet<Iptables>>,
  plain: Promise<Variant | undefined>,
): Promise<DnatRule[] | undefined> {
  return (await inUse).has(tool) ? listNat(run, tool, 'legacy', plain) : undefined;
}

/** What engines run is plain `iptables`, a name for either variant. */
async function plainVariant(run: Run): Promise<Variant | undefined> {
  // A tool that can't even say its version can't list, and that is the problem to report.
  const finished = await run(['iptables', '--version']).catch(() => undefined);
  if (finished?.exitCode !== 0) return undefined;
  return finished.stdout.includes('(nf_tables)') ? 'nft' : 'legacy';
}

/**
 * The names of tables belong to the user namespace's root, but to nobody where both namespaces came
 * from one unshare(2): then the variant that the engine runs decides.
 */
async function legacyInUse(
  run: Run,
  plain: Promise<Variant | undefined>,
): Promise<ReadonlySet<Iptables>> {
  const { stdout, stderr } = await run(['grep', '-x', 'nat', ...Object.values(TABLE_NAMES)]);
  const isLegacy = (await plain) === 'legacy';
  const isInUse = (tool: Iptables) =>
    stdout.includes(`${TABLE_NAMES[tool]}:nat\n`) ||
    (isLegacy && stderr.includes(`${TABLE_NAMES[tool]}: Permission denied`));
  return new Set((['iptables', 'ip6tables'] as const).filter(isInUse));
}

function failed(command: readonly string[], { exitCode, stderr }: Finished): SluiceError {
  const reason = stderr.trim().split('\n', 1)[0]?.slice(0, MAX_REASON_LENGTH) ?? '';
  return new SluiceError(
    'ERR_DNAT_TOOL',
    `${command.join(' ')} failed in the child namespaces with exit code ${exitCode}: ${reason}`,
  );
}

function noTools(): SluiceError {
  return new SluiceError(
    'ERR_DNAT_NO_TOOLS',
    'neither iptables nor nft was found in the child namespaces; install iptables or nftables',
  );
}
