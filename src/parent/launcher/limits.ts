/** Node.js raises the soft limit of open files to the hard one at its start. */
import { readFileSync } from 'node:fs';

const SOFT_LIMIT = /^Max open files +(\d+)/m;

function softLimitOf(process: 'self' | number): number | undefined {
  try {
    const limits = readFileSync(`/proc/${process}/limits`, 'utf8');
    const soft = SOFT_LIMIT.exec(limits)?.[1];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    // Another user's process keeps its limits to itself.
    return undefined;
  }
}

/** The soft limit that we were started with, as far as our parent shows it. */
export function callersSoftLimit(): number | undefined {
  const callers = softLimitOf(process.ppid);
  const own = softLimitOf('self');
  return callers !== undefined && own !== undefined && callers < own ? callers : undefined;
}

/** `command`, run with the soft limit that we were started with. */
export function withCallersLimit(command: readonly string[]): readonly string[] {
  const limit = callersSoftLimit();
  return limit === undefined
    ? command
    : ['/bin/sh', '-c', 'ulimit -Sn "$0"; exec "$@"', String(limit), ...command];
}
