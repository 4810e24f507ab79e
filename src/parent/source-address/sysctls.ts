/** The sysctls by which a server in the namespace answers with the mark of what it received. */

import { type Failures, failuresOf } from './failures.js';
import type { Tools } from './tools.js';

/** The first is for IPv4 and IPv6; a kernel without IPv6 lacks the last. */
const FILES = [
  '/proc/sys/net/ipv4/tcp_fwmark_accept',
  '/proc/sys/net/ipv4/fwmark_reflect',
  '/proc/sys/net/ipv6/fwmark_reflect',
] as const;

export interface Sysctls {
  readonly failures: Failures;
  /** Those that are there, with the values that they had. */
  readonly before: ReadonlyMap<string, string>;
}

/** Prints the value before of each that could be changed: one digit, all that `read` gets of them. */
const TURN_ON =
  'for file; do read -r value <"$file"; echo 1 >"$file" && echo "$file $value" || failed=1; done; exit ${failed:-0}';

/** A process's /proc/sys/net is that of its network namespace: a shell reaches it from there. */
export async function setUpSysctls(tools: Tools): Promise<Sysctls> {
  const { stdout, failure } = await tools.run('sh', ['-c', TURN_ON, 'sh', ...FILES]);
  const lines = stdout.split('\n').filter((line) => line !== '');
  const before = new Map(lines.map((line) => line.split(' ') as [string, string]));
  const [ofBoth, ofIPv4, ofIPv6] = FILES.map((file) => (before.has(file) ? undefined : failure));
  return { failures: failuresOf(ofBoth ?? ofIPv4, ofBoth ?? ofIPv6), before };
}

/** @param leftover the values before were not the namespace's own but a predecessor's */
export async function restoreSysctls(
  tools: Tools,
  { before }: Sysctls,
  leftover: boolean,
): Promise<void> {
  const files = [...before].filter(([, value]) => leftover || value === '0').map(([file]) => file);
  if (files.length > 0) await write(tools, '0', files);
}

/** Undefined on success, else why not. */
async function write(tools: Tools, value: string, files: string[]): Promise<string | undefined> {
  return (await tools.run('tee', files, { input: value })).failure;
}
