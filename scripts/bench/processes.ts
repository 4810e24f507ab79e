/** What /proc says about trees of processes. Source: proc(5). */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { fieldsAfterName } from '../../src/parent/proc.js';

/** USER_HZ, which Linux fixes at 100 on every platform that Node supports. */
const TICKS_PER_SECOND = 100;
const BYTES_PER_KIB = 1024;

interface Stat {
  readonly pid: number;
  readonly parentPid: number;
  readonly name: string;
  /** A letter; Z for a process that has ended and is not waited for. */
  readonly state: string;
  /** Of all its threads, ended ones too, and of the children that it has waited for. */
  readonly cpuTicks: number;
}

function statOf(pid: number): Stat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  const fields = fieldsAfterName(text);
  const cpuTicks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  const name = text.slice(text.indexOf('(') + 1, text.lastIndexOf(')'));
  return { pid, parentPid: Number(fields[1]), name, state: fields[0] ?? '', cpuTicks };
}

/**
 * The processes of the trees below `roots`, roots included, without the trees below `pruned`
 * and without processes named in `ignoredNames`.
 */
export function processTree(
  roots: readonly number[],
  pruned: readonly number[] = [],
  ignoredNames: readonly string[] = [],
): number[] {
  const children = new Map<number, Stat[]>();
  const all = new Map<number, Stat>();
  for (const entry of readdirSync('/proc')) {
    const stat = /^\d+$/.test(entry) ? statOf(Number(entry)) : undefined;
    if (stat !== undefined) {
      all.set(stat.pid, stat);
      const siblings = children.get(stat.parentPid) ?? [];
      siblings.push(stat);
      children.set(stat.parentPid, siblings);
    }
  }
  const found: number[] = [];
  const pending = roots.flatMap((root) => all.get(root) ?? []);
  for (let stat = pending.pop(); stat !== undefined; stat = pending.pop()) {
    if (pruned.includes(stat.pid)) {
      continue;
    }
    if (!ignoredNames.includes(stat.name)) {
      found.push(stat.pid);
    }
    pending.push(...(children.get(stat.pid) ?? []));
  }
  return found;
}

/** Those of `pids` that run a program of this name, of which the kernel keeps 15 characters. */
export function named(pids: readonly number[], name: string): number[] {
  return pids.filter((pid) => statOf(pid)?.name === name);
}

export function isAlive(pid: number): boolean {
  const state = statOf(pid)?.state;
  return state !== undefined && state !== 'Z';
}

/** User and system time; grows with a resolution of 10 ms. */
export function cpuSeconds(pids: readonly number[]): number {
  const ticks = pids.reduce((sum, pid) => sum + (statOf(pid)?.cpuTicks ?? 0), 0);
  return ticks / TICKS_PER_SECOND;
}

/** Proportional set size: a page shared by n processes counts 1/n in each of them. */
export function pssBytes(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const kib = /^Pss:\s+(\d+) kB/m.exec(smapsRollup(pid))?.[1] ?? 0;
    return sum + Number(kib) * BYTES_PER_KIB;
  }, 0);
}

export function pssMiB(pids: readonly number[]): number {
  return pssBytes(pids) / (BYTES_PER_KIB * 1024);
}

/** Empty for a process that has ended, which a forking forwarder's may do at any moment. */
function smapsRollup(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
  } catch (error) {
    if (isAlive(pid)) {
      throw error;
    }
    return '';
  }
}

/** Its arguments, each with a NUL behind it; empty for a process that has ended. */
export function commandOf(pid: number): string {
  return whileThere(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8'), '');
}

/** What its fds refer to, such as "pipe:[4711]". */
export function fdTargetsOf(pid: number): string[] {
  const numbers = whileThere(() => readdirSync(`/proc/${pid}/fd`), []);
  return numbers.flatMap((fd) => whileThere(() => [readlinkSync(`/proc/${pid}/fd/${fd}`)], []));
}

export function isPipe(fdTarget: string): boolean {
  return fdTarget.startsWith('pipe:');
}

/** For what may have ended or been closed meanwhile. */
export function whileThere<T>(look: () => T, otherwise: T): T {
  try {
    return look();
  } catch {
    return otherwise;
  }
}
