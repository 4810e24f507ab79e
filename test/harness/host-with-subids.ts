/**
 * A "host" of a test's own in which rootlesskit runs as it does on a machine: the user is no root
 * there but itself, and has subordinate ids. It is made without privileges, out of the user's
 * subordinate ids on the machine: the first of them is the host's root.
 */
import { userInfo } from 'node:os';
import { type Cleanup, temporaryFolder } from './cleanup.js';
import { HOLD, type Namespace, hold } from './namespaces.js';

/** Beside the user's own id, which has to stay out of the range. */
const SUBIDS = { count: 20_000, low: 10_000, high: 40_000 } as const;

/**
 * The machine's newuidmap and newgidmap are set-user-ID to a root that does not exist in here, so
 * copies that belong to the host's root lie over them, and the host's ranges over the machine's.
 */
const SET_UP = `
  folder=$0 entry=$1; shift
  mount -t tmpfs -o mode=755 tmpfs "$folder"
  for name in newuidmap newgidmap; do
    cp "$(command -v $name)" "$folder"
    chmod 4755 "$folder/$name"
    mount --bind "$folder/$name" "$(command -v $name)"
  done
  echo "$entry" >"$folder/subids"
  for file in /etc/subuid /etc/subgid; do mount --bind "$folder/subids" $file; done
  exec "$@"`;

/** With makeClient it is reached from an address that is not its own. `enter` leads in as root. */
export function makeHostWithSubids(cleanup: Cleanup): Promise<Namespace> {
  const { uid, gid, username } = userInfo();
  const first = Math.max(uid, gid) < SUBIDS.high ? SUBIDS.high : SUBIDS.low;
  const map = ['--map-auto', `--map-user=${uid}`, `--map-group=${gid}`, '--setuid=0', '--setgid=0'];
  const unshare = ['unshare', '--user', '--net', '--mount', ...map];
  const setUp = [
    'sh',
    '-e',
    '-c',
    SET_UP,
    temporaryFolder(cleanup),
    `${username}:${first}:${SUBIDS.count}`,
  ];
  return hold(cleanup, [...unshare, ...setUp, ...HOLD]);
}

/** The command that runs `command` inside as the user, in the current folder, unprivileged. */
export function enterAsUser({ pid }: Namespace, ...command: readonly string[]): string[] {
  const { uid, gid } = userInfo();
  const nsenter = ['nsenter', '--user', '--net', '--mount', `--target=${pid}`];
  const options = [`--setuid=${uid}`, `--setgid=${gid}`, `--wdns=${process.cwd()}`];
  return [...nsenter, ...options, '--', ...command];
}
