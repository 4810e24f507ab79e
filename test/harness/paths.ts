import { existsSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const REPOSITORY = resolve(fileURLToPath(import.meta.url), '../../..');

/** Where scripts/test/install.sh unpacks Debian unstable's Docker. */
export const DOCKER_PREFIX = '/var/cache/sluice-test/docker';
export const DOCKER_PATH = [join(DOCKER_PREFIX, 'usr/bin'), join(DOCKER_PREFIX, 'usr/sbin')];

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
