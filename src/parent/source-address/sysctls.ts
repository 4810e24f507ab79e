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

/** A process's /proc/sys/net is that of its network namespace: cat and tee reach it from there. */
export async function setUpSysctls(tools: Tools): Promise<Sysctls> {
  const { stdout, failure: missing } = await tools.run('cat', FILES);
  const values = stdout.split('\n').filter((line) => line !== '');
  const before = new Map(values.map((value, index) => [FILES[index] as string, value]));
  // Without them all, it is IPv6 that is missing: the others came with Linux 4.1 or earlier.
  if (values.length < FILES.length - 1) {
    return { failures: failuresOf(missing, missing), before: new Map() };
  }
  const failure = await write(tools, '1', [...before.keys()]);
  return { failures: failuresOf(failure, failure ?? missing), before };
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
