import { chmodSync, existsSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type Cleanup, temporaryFolder } from './cleanup.js';
import { REPOSITORY } from './paths.js';

/** As users have it: package.json's `bin`. */
export const SLUICE = join(REPOSITORY, 'dist/programs/parent/cli/main.js');
export const DOCKER_ROOTLESSKIT = join(REPOSITORY, 'scripts/docker-rootlesskit');

/** The command `sluice ARGS...`. */
export function sluice(...args: readonly string[]): string[] {
  return [process.execPath, SLUICE, ...args];
}

/** A folder for the PATH with our commands in it, linked as `npm install` does. */
export function commandsFolder(cleanup: Cleanup): string {
  const folder = temporaryFolder(cleanup);
  for (const [name, file] of [
    ['sluice', SLUICE],
    ['docker-rootlesskit', DOCKER_ROOTLESSKIT],
  ] as const) {
    if (!existsSync(file)) throw new Error(`${file} is missing: npm run build`);
    chmodSync(file, 0o755);
    symlinkSync(file, join(folder, name));
  }
  return folder;
}
