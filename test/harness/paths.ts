import { existsSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const REPOSITORY = resolve(fileURLToPath(import.meta.url), '../../..');

/** Where scripts/test/install.sh unpacks Debian unstable's Docker. */
export const DOCKER_PREFIX = '/var/cache/sluice-test/docker';
export const DOCKER_PATH = commandsIn(DOCKER_PREFIX);

/** Where it unpacks Debian 12's: the last with rootlesskit-docker-proxy. */
export const OLD_DOCKER_PREFIX = '/var/cache/sluice-test/docker-20.10';

export function commandsIn(prefix: string): string[] {
  return [join(prefix, 'usr/bin'), join(prefix, 'usr/sbin')];
}

/** Where scripts/test/install.sh puts the tool of Debian's package prometheus, not its service. */
export const PROMTOOL = '/var/cache/sluice-test/prometheus/usr/bin/promtool';

/** An unprivileged user's PATH often lacks the folders of ip, iptables and nft. */
const SYSTEM_PATH = ['/usr/sbin', '/sbin'];

/** PATH with `folders` put first. */
export function pathWith(...folders: string[]): string {
  return [...folders, process.env['PATH'] ?? '', ...SYSTEM_PATH].join(delimiter);
}

/** The file that `program` names on `path`, if there is one. */
export function which(program: string, path = pathWith()): string | undefined {
  return path
    .split(delimiter)
    .map((folder) => join(folder, program))
    .find((file) => existsSync(file));
}
