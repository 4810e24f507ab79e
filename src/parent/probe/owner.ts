/**
 * Whose an address is, in the network namespaces below the child's user namespace, and what stands
 * there: found out by reading, without a packet. For a process in the child's namespaces: the
 * kernel shows it the namespaces of those processes alone that it could trace (ptrace(2)), which
 * are no other engine's.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isLoopback } from '../dial.js';
import { allPids, processStat } from '../proc.js';
import { boundAddresses, ownAddresses } from '../proc-net.js';
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

export async function readNamespaces(): Promise<Namespaces> {
  const others = allPids().filter((pid) => pid !== process.pid);
  const pids = [process.pid, ...others];
  const inodes = await Promise.all(pids.map(inodeOf));
  const namespaces = new Map<number, number[]>();
  for (const [index, inode] of inodes.entries()) {
    if (inode === undefined) continue;
    const pid = pids[index] as number;
    namespaces.set(inode, [...(namespaces.get(inode) ?? []), pid]);
  }
  return namespaces;
}

export async function ownerOf(
  { ip, port, transport }: Endpoint,
  namespaces: Namespaces,
): Promise<Owner> {
  for (const pids of namespaces.values()) {
    const [pid = 0] = pids;
    const isOwn = pid === process.pid;
    const isHere = isLoopback(ip) ? isOwn : (await ownAddresses(pid)).includes(ip);
    if (!isHere) continue;
    const bound = await boundAddresses(pid, transport, port);
    if (isOwn) return { kind: 'namespace', bound, isPaused: false };
    const paused = await Promise.all(pids.map(isPaused));
    return { kind: 'container', pid, bound, isPaused: paused.every(Boolean) };
  }
  return { kind: 'nobody', bound: [], isPaused: false };
}

/** By a signal, or by its control group: cgroups(7), version 2, which rootless engines need for it. */
async function isPaused(pid: number): Promise<boolean> {
  try {
    if (processStat(pid).state === 'T') return true;
    const [, group = ''] = /^0::(.*)$/m.exec(await readFile(`/proc/${pid}/cgroup`, 'utf8')) ?? [];
    const events = await readFile(join('/sys/fs/cgroup', group, 'cgroup.events'), 'latin1');
    return /^frozen 1$/m.test(events);
  } catch {
    return false;
  }
}

/** Undefined for a process that has ended, or is none of ours to look into. */
async function inodeOf(pid: number): Promise<number | undefined> {
  return (await stat(`/proc/${pid}/ns/net`).catch(() => undefined))?.ino;
}
