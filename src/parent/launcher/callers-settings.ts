/**
 * What Node.js changes of its process at its start, and every program started from it would
 * inherit: the soft limit of open files is raised, ignored signals are ignored no more.
 *
 * The command `docker-rootlesskit` notes both in the environment before it starts Node.js; for
 * other ways in, the parent process's limit is the best guess. It also keeps NODE_EXTRA_CA_CERTS,
 * which is for the program, from our own Node.js.
 */
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';

const SOFT_LIMIT = /^Max open files +(\d+)/m;
/** Node.js itself ignores this one, and resets it in the programs that it starts. */
const ALWAYS_DEFAULT = constants.signals.SIGPIPE;

const noted = takeNotes();

/** `command`, run with the limit and the ignored signals that we were started with. */
export function withCallersSettings(command: readonly string[]): readonly string[] {
  const limit = noted.softLimit ?? callersSoftLimit();
  const steps = [
    ...(limit === undefined ? [] : [`ulimit -Sn ${limit}`]),
    ...(noted.ignored.length === 0 ? [] : [`trap '' ${noted.ignored.join(' ')}`]),
  ];
  return steps.length === 0
    ? command
    : ['/bin/sh', '-c', `${steps.join('; ')}; exec "$0" "$@"`, ...command];
}

interface Notes {
  readonly softLimit: number | undefined;
  readonly ignored: readonly number[];
}

/** They are for this process alone; those that it starts have what the caller's environment had. */
function takeNotes(): Notes {
  const { SLUICE_SOFT_NOFILE: limit = '', SLUICE_SIGIGN: mask = '' } = process.env;
  const { SLUICE_CA_CERTS: certificates } = process.env;
  for (const name of ['SLUICE_SOFT_NOFILE', 'SLUICE_SIGIGN', 'SLUICE_CA_CERTS']) {
    delete process.env[name];
  }
  if (certificates !== undefined) process.env['NODE_EXTRA_CA_CERTS'] = certificates;
  return {
    softLimit: /^\d+$/.test(limit) ? Number(limit) : undefined,
    ignored: /^[0-9a-f]{16}$/.test(mask) ? signalsIn(BigInt(`0x${mask}`)) : [],
  };
}

/** Signal numbers in a mask of proc_pid_status(5): signal 1 is bit 0. */
function signalsIn(mask: bigint): number[] {
  return Object.values(constants.signals).filter(
    (signal) => signal !== ALWAYS_DEFAULT && ((mask >> BigInt(signal - 1)) & 1n) === 1n,
  );
}

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

function callersSoftLimit(): number | undefined {
  const callers = softLimitOf(process.ppid);
  const own = softLimitOf('self');
  return callers !== undefined && own !== undefined && callers < own ? callers : undefined;
}
