/**
 * Whose an address is, in the network namespaces below the child's user namespace, and what stands
 * there: found out by reading, without a packet. For a process in the child's namespaces: the
 * kernel shows it the namespaces of those processes alone that it could trace (ptrace(2)), which
 * are no other engine's.
 */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isLoopback } from '../dial.js';
import { allPids, processStat } from '../proc.js';
import { boundAddresses, hasAddress } from '../proc-net.js';
import type { Endpoint } from './target.js';

export interface Owner {
  /** `namespace`: the child's network namespace itself. */
  readonly kind: 'container' | 'namespace' | 'nobody';
  /** A process in the network namespace that has the address. */
  readonly pid?: number;
  /** Addresses there on which somebody has the port, wildcards included. */
  readonly bound: readonly string[];
  /** Every process there is stopped or frozen: `docker pause`. */
  readonly isPaused: boolean;
}

/** Processes by the inode of their network namespace, those of this process's own first. */
export type Namespaces = ReadonlyMap<number, readonly number[]>;

export function readNamespaces(): Namespaces {
  const others = allPids().filter((pid) => pid !== process.pid);
  const pids = [process.pid, ...others];
  const namespaces = new Map<number, number[]>();
  for (const pid of pids) {
    const inode = inodeOf(pid);
    if (inode === undefined) continue;
    namespaces.set(inode, [...(namespaces.get(inode) ?? []), pid]);
  }
  return namespaces;
}

/** The processes of the network namespace that has the address. */
export function namespaceWith(ip: string, namespaces: Namespaces): readonly number[] | undefined {
  return namespacesWith(ip, namespaces)[0];
}

/** The same for every network namespace that has it: nested engines may use one range twice. */
export function namespacesWith(ip: string, namespaces: Namespaces): (readonly number[])[] {
  return [...namespaces.values()].filter(([pid = 0]) =>
    isLoopback(ip) ? pid === process.pid : hasAddress(pid, ip),
  );
}

export async function ownerOf(
  { ip, port, transport }: Endpoint,
  namespaces: Namespaces,
): Promise<Owner> {
  const pids = namespaceWith(ip, namespaces);
  const [pid] = pids ?? [];
  if (pids === undefined || pid === undefined) {
    return { kind: 'nobody', bound: [], isPaused: false };
  }
  const bound = await boundAddresses(pid, transport, port);
  if (pid === process.pid) return { kind: 'namespace', bound, isPaused: false };
  return { kind: 'container', pid, bound, isPaused: pids.every(isPaused) };
}

/** By a signal, or by its control group: cgroups(7), version 2, which rootless engines need for it. */
function isPaused(pid: number): boolean {
  try {
    if (processStat(pid).state === 'T') return true;
    const [, group = ''] = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8')) ?? [];
    const events = readFileSync(join('/sys/fs/cgroup', group, 'cgroup.events'), 'latin1');
    return /^frozen 1$/m.test(events);
  } catch {
    return false;
  }
}

/** Undefined for a process that has ended, or is none of ours to look into. */
function inodeOf(pid: number): number | undefined {
  try {
    return statSync(`/proc/${pid}/ns/net`, { throwIfNoEntry: false })?.ino;
  } catch {
    return undefined;
  }
}
