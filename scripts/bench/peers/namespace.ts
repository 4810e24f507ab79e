/** A user and network namespace for the peers that don't make one themselves. */
import { type CommandLine, which } from '../command.js';
import { type Launched, launchServers } from './launch.js';
import type { Turn } from './peer.js';

export interface Namespace extends Launched {
  /** Put in front of a command line to run it inside. */
  readonly enter: readonly [string, ...string[]];
}

const UNSHARE: CommandLine = ['unshare', '--user', '--map-root-user', '--net'];
/** A new network namespace starts with its loopback down. */
const LOOPBACK_UP = ['sh', '-c', 'ip link set lo up && exec "$0" "$@"'];

/** Starts the servers in new namespaces. */
export async function launchNamespace(turn: Turn): Promise<Namespace> {
  const launched = await launchServers([...UNSHARE, ...LOOPBACK_UP], turn);
  const target = `${launched.serversPid}`;
  const enter = [
    'nsenter',
    '--target',
    target,
    '--user',
    '--net',
    '--preserve-credentials',
  ] as const;
  return { ...launched, enter: [...enter, '--'] };
}

export function missingProgram(...names: string[]): string | undefined {
  const absent = names.filter((name) => which(name) === undefined);
  return absent.length === 0 ? undefined : `not on the PATH: ${absent.join(', ')}`;
}
