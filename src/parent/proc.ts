/** What proc(5) says about processes. */

import { readdirSync, readFileSync } from 'node:fs';

/** What proc_pid_stat(5) says. */
export interface ProcessStat {
  /** The program's, of which the kernel keeps 15 characters. */
  readonly name: string;
  /** One letter: `T` is stopped by a signal. */
  readonly state: string;
  readonly parentPid: number;
  /** When it started, in clock ticks since the boot; with its pid it has no double. */
  readonly startTicks: number;
}

/** Throws the errno of a process that has ended. */
export function processStat(pid: number): ProcessStat {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = fieldsAfterName(stat);
  return {
    name: stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')),
    state: fields[0] ?? '',
    parentPid: Number(fields[1]),
    startTicks: Number(fields[19]),
  };
}

/** From the 3rd field on. The 2nd, the name, stands in brackets and may have some of its own. */
export function fieldsAfterName(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

export function allPids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/**
 * Of all of its threads: proc_pid_task(5), `children`. Undefined where the kernel doesn't list them, or
 * the process has ended.
 */
export function childrenOf(pid: number): number[] | undefined {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const lists = threads.map((tid) => readFileSync(`/proc/${pid}/task/${tid}/children`, 'utf8'));
    return lists.flatMap((list) => list.split(' ').filter(Boolean).map(Number));
  } catch {
    return undefined;
  }
}
