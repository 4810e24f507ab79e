/**
 * Network namespaces of a test's own, made without privileges: a "host" in a new user namespace,
 * and a "client" joined to it by a veth pair. Each lives as long as a process that holds it.
 */
import { readFileSync } from 'node:fs';
import type { Cleanup } from './cleanup.js';
import { type StartOptions, run, start } from './processes.js';

export const HOST_ADDRESS = { v4: '198.51.100.1', v6: 'fd00:1::1' } as const;
export const CLIENT_ADDRESS = { v4: '198.51.100.2', v6: 'fd00:1::2' } as const;

const READY_MS = 30_000;

const UNSHARE = ['unshare', '--user', '--map-root-user', '--net', '--mount'];
const NSENTER = ['nsenter', '--user', '--net', '--mount'];
/** Brings loopback up, says that it is ready, and stays. */
export const HOLD = ['sh', '-c', 'ip link set lo up && echo ready && exec sleep infinity'];

/** Any process in the namespaces stands for them. */
export interface Namespace {
  readonly pid: number;
}

/** A user, network and mount namespace with its loopback device up; the user is its root. */
export function makeHost(cleanup: Cleanup): Promise<Namespace> {
  return hold(cleanup, [...UNSHARE, ...HOLD]);
}

/** A second network namespace of the host's user namespace, one link away from it. One per host. */
export async function makeClient(cleanup: Cleanup, host: Namespace): Promise<Namespace> {
  const client = await hold(cleanup, enter(host, 'unshare', '--net', ...HOLD));
  await script(host, [
    `ip link add client0 type veth peer name host0 netns ${client.pid}`,
    ...addresses('client0', HOST_ADDRESS),
  ]);
  await script(client, addresses('host0', CLIENT_ADDRESS));
  return client;
}

// Without duplicate address detection an address can be used at once.
function addresses(device: string, { v4, v6 }: { v4: string; v6: string }): string[] {
  return [
    `ip addr add ${v4}/24 dev ${device}`,
    `ip addr add ${v6}/64 dev ${device} nodad`,
    `ip link set ${device} up`,
  ];
}

async function script(namespace: Namespace, lines: readonly string[]): Promise<void> {
  await runIn(namespace, ['sh', '-e', '-c', lines.join('\n')]);
}

/** Starts a command that ends in HOLD. */
export async function hold(cleanup: Cleanup, command: readonly string[]): Promise<Namespace> {
  const holder = await start(cleanup, command);
  await holder.line(/^ready$/m, READY_MS);
  return { pid: holder.pid };
}

/** The command that runs `command` inside, in the current folder, with all capabilities. */
export function enter({ pid }: Namespace, ...command: readonly string[]): string[] {
  // Where groups can't be set, the user is the namespace's root already.
  const denied = readFileSync(`/proc/${pid}/setgroups`, 'latin1').startsWith('deny');
  const keep = denied ? ['--preserve-credentials'] : [];
  return [...NSENTER, ...keep, `--target=${pid}`, `--wdns=${process.cwd()}`, '--', ...command];
}

/** Runs a program inside to its end and returns its standard output. */
export function runIn(
  namespace: Namespace,
  command: readonly string[],
  options?: StartOptions,
): Promise<string> {
  return run(enter(namespace, ...command), options);
}
