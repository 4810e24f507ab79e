import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { join } from 'node:path';
import { DOCKER_PREFIX, OLD_DOCKER_PREFIX, PROMTOOL, which } from './paths.js';
import { rootlesskitProgram } from './rootlesskit.js';

/** What a machine lacks and how to get it, or undefined where it has it. */
export type Need = () => string | undefined;

const INSTALL = 'run npm test as root on Debian';

export function tool(name: string): Need {
  return () => (which(name) === undefined ? `${name} on the PATH: ${INSTALL}` : undefined);
}

export const userNamespaces: Need = () =>
  unshare(
    ['--map-root-user', '--net', '--mount'],
    'user namespaces: see user.max_user_namespaces and kernel.unprivileged_userns_clone',
  );

function unshare(flags: readonly string[], lack: string): string | undefined {
  const { status, stderr } = spawnSync('unshare', ['--user', ...flags, 'true'], {
    encoding: 'utf8',
  });
  return status === 0 ? undefined : `${lack} (${stderr.trim()})`;
}

/** The kernel lets root do without what these need; their own checks do not. */
const unprivileged: Need = () =>
  process.getuid?.() === 0 ? 'an unprivileged user: run npm test, not vitest, as root' : undefined;

const subordinateIds: Need = () =>
  unshare(
    ['--map-auto', '--map-root-user'],
    'subordinate ids: add the user to /etc/subuid and /etc/subgid, and install uidmap',
  );

const tunDevice: Need = () => {
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK);
    return undefined;
  } catch {
    return '/dev/net/tun, readable and writable: chmod 0666 /dev/net/tun';
  }
};

function firstOf(...needs: Need[]): Need {
  return () => needs.reduce<string | undefined>((missing, need) => missing ?? need(), undefined);
}

/** rootlesskit of a major version, with the network drivers of this harness. */
export function rootlesskit(major: 1 | 2): Need {
  return firstOf(
    unprivileged,
    userNamespaces,
    subordinateIds,
    tunDevice,
    tool('slirp4netns'),
    tool('pasta'),
    () => (rootlesskitProgram(major) ? undefined : `rootlesskit ${major}: ${INSTALL}`),
  );
}

export const promtool: Need = () => (existsSync(PROMTOOL) ? undefined : `promtool: ${INSTALL}`);

export const docker: Need = dockerIn(DOCKER_PREFIX, 2);

export const oldDocker: Need = dockerIn(OLD_DOCKER_PREFIX, 1);

function dockerIn(prefix: string, rootlesskitMajor: 1 | 2): Need {
  return firstOf(rootlesskit(rootlesskitMajor), tool('runc'), tool('busybox'), () =>
    existsSync(join(prefix, 'usr/sbin/dockerd')) ? undefined : `rootless Docker: ${INSTALL}`,
  );
}
