/** What proc_pid_stat(5) says about a process. */

import { readdirSync, readFileSync } from 'node:fs';

export interface ProcessStat {
  /** The program's, of which the kernel keeps 15 characters. */
  readonly name: string;
  readonly parentPid: number;
  /** When it started, in clock ticks since the boot; with its pid it has no double. */
  readonly startTicks: number;
}

/** Throws the errno of a process that has ended. */
export function processStat(pid: number): ProcessStat {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The name stands in brackets, and may have some of its own; the 4th field is the parent.
  const nameEnd = stat.lastIndexOf(')');
  const fields = stat.slice(nameEnd + 2).split(' ');
  return {
    name: stat.slice(stat.indexOf('(') + 1, nameEnd),
    parentPid: Number(fields[1]),
    startTicks: Number(fields[19]),
  };
}

export function allPids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}
