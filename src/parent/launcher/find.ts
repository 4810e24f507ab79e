import {
  accessSync,
  constants,
  closeSync,
  openSync,
  readSync,
  realpathSync,
  statSync,
} from 'node:fs';
import { delimiter, join, resolve, sep } from 'node:path';
import { SluiceError } from '../../msg/errors.js';
import { PACKAGE_FOLDER } from '../package-folder.js';

/** In the order in which dockerd-rootless.sh looks them up. */
const NAMES = ['docker-rootlesskit', 'rootlesskit'] as const;

/** This program's own files: nothing in there is the real rootlesskit. */
const OWN_FOLDER = PACKAGE_FOLDER + sep;

/** What a launcher script that starts us mentions (pnpm writes such scripts, not links). */
const OWN_SCRIPTS = /parent\/cli\/(docker-rootlesskit|main)\b/;
const SCRIPT_BYTES = 4096;

/**
 * The path of the real rootlesskit: `SLUICE_ROOTLESSKIT`, else the first on the PATH that is not
 * this program under another name.
 *
 * @throws SluiceError ERR_NO_ROOTLESSKIT
 */
export function findRootlesskit(env: Readonly<Record<string, string | undefined>>): string {
  const chosen = env['SLUICE_ROOTLESSKIT'];
  if (chosen) {
    const reason = unfit(chosen);
    if (reason === undefined) {
      return chosen;
    }
    throw new SluiceError(
      'ERR_NO_ROOTLESSKIT',
      `SLUICE_ROOTLESSKIT is "${chosen}", which ${reason}; set it to the path of the real rootlesskit, or unset it to search the PATH`,
    );
  }
  const path = env['PATH'] ?? '';
  // An empty entry of the PATH is the current folder.
  const folders = path.split(delimiter).map((folder) => folder || '.');
  const candidates = NAMES.flatMap((name) => folders.map((folder) => join(folder, name)));
  const found = candidates.find((file) => unfit(file) === undefined);
  if (found === undefined) {
    throw new SluiceError(
      'ERR_NO_ROOTLESSKIT',
      `no rootlesskit on the PATH (${path}); install it (Debian, Ubuntu, Fedora: the package rootlesskit), or set SLUICE_ROOTLESSKIT to its path`,
    );
  }
  return resolve(found);
}

/** Why `file` can't be the real rootlesskit. */
function unfit(file: string): string | undefined {
  try {
    if (!statSync(file).isFile()) {
      return 'is not a file';
    }
    if (isOurs(file)) {
      return 'is sluice itself';
    }
    accessSync(file, constants.X_OK);
    return undefined;
  } catch {
    return 'is not an executable file';
  }
}

/** Whether `file`, which must be there, is this program under whatever name. */
export function isOurs(file: string): boolean {
  if (realpathSync(file).startsWith(OWN_FOLDER)) {
    return true;
  }
  const start = firstBytes(file);
  return start.startsWith('#!') && OWN_SCRIPTS.test(start);
}

function firstBytes(file: string): string {
  const buffer = Buffer.alloc(SCRIPT_BYTES);
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch {
    // Executable but not readable: a script could not be run like that.
    return '';
  }
  try {
    return buffer.toString('latin1', 0, readSync(fd, buffer));
  } finally {
    closeSync(fd);
  }
}
