/** What forwarders spend while something goes on. Source: proc(5). */
import { readFileSync, readdirSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { RunningPeer } from './peers/peer.js';
import { commandOf, cpuSeconds, whileThere } from './processes.js';

export interface Spent {
  /** User and system time. */
  readonly cpuSeconds: number;
  /** Context switches, wanted or not, of the threads that are left at the end. */
  readonly switches: number;
}

/** By the name of a process, all of that name together. */
export type Spending = Readonly<Record<string, Spent>>;

type Reading = ReadonlyMap<number, { readonly name: string } & Spent>;

const NOTHING: Spent = { cpuSeconds: 0, switches: 0 };

/** Runs `work`, and says what the peer's forwarders spent meanwhile. */
export async function metered<T>(
  peer: RunningPeer,
  work: () => Promise<T>,
): Promise<{ result: T; spending: Spending }> {
  const before = read(peer.forwarders());
  const result = await work();
  const spending: Record<string, Spent> = {};
  for (const [pid, { name, ...now }] of read(peer.forwarders())) {
    const then = before.get(pid) ?? NOTHING;
    const sum = spending[name] ?? NOTHING;
    spending[name] = {
      cpuSeconds: sum.cpuSeconds + now.cpuSeconds - then.cpuSeconds,
      switches: sum.switches + now.switches - then.switches,
    };
  }
  return { result, spending };
}

/** Of all the processes together. */
export function sumOf(spending: Spending): Spent {
  const all = Object.values(spending);
  return {
    cpuSeconds: all.reduce((sum, spent) => sum + spent.cpuSeconds, 0),
    switches: all.reduce((sum, spent) => sum + spent.switches, 0),
  };
}

function read(pids: readonly number[]): Reading {
  return new Map(
    pids.map((pid) => {
      const spent = { cpuSeconds: cpuSeconds([pid]), switches: switchesOf(pid) };
      return [pid, { name: nameOf(pid), ...spent }] as const;
    }),
  );
}

function switchesOf(pid: number): number {
  return whileThere(() => readdirSync(`/proc/${pid}/task`), [])
    .map((thread) =>
      whileThere(() => readFileSync(`/proc/${pid}/task/${thread}/status`, 'latin1'), ''),
    )
    .flatMap((status) => [...status.matchAll(/^(?:non)?voluntary_ctxt_switches:\s+(\d+)$/gm)])
    .reduce((sum, [, count]) => sum + Number(count), 0);
}

/** The program, and for Node the script that it runs, such as "node child/main.js". */
function nameOf(pid: number): string {
  const [file = '', ...args] = commandOf(pid).split('\0');
  const program = basename(file);
  const script = args.find((arg) => /\.m?js$/.test(arg));
  return program !== 'node' || script === undefined
    ? program
    : `node ${basename(dirname(script))}/${basename(script)}`;
}
