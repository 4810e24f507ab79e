/**
 * A driver that replaces itself with the installed version: the same process from the outside, new
 * code within. It finds its predecessor's agents as after a crash, puts new ones in their place,
 * and lets the old ones finish their flows.
 */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { SluiceError } from '../../msg/errors.js';
import { fcntl } from '../../msg/libc.js';
import { execve } from '../../msg/process.js';
import { programPath } from '../package-folder.js';

const CLI_MAIN = programPath('parent/cli/main.js');
const CHECK_TIMEOUT_MS = 10_000;
const F_SETFD = 2;
/** For how many milliseconds the old agents may finish their flows. */
const VARIABLE = 'SLUICE_RELOAD_DRAIN_MS';

/** Set in a process that has replaced itself; told once. */
export function takeReload(): { readonly replaceWithinMs: number } | undefined {
  const text = process.env[VARIABLE];
  delete process.env[VARIABLE];
  return text === undefined ? undefined : { replaceWithinMs: Number(text) };
}

/** Rejects with ERR_RELOAD when the installed version doesn't even start. */
export async function checkInstalled(): Promise<void> {
  try {
    const options = { timeout: CHECK_TIMEOUT_MS };
    await promisify(execFile)(process.execPath, [CLI_MAIN, '--version'], options);
  } catch (cause) {
    const what = `the installed sluice (${CLI_MAIN}) does not start, so the old one goes on`;
    throw new SluiceError('ERR_RELOAD', `${what}; install it again`, { cause });
  }
}

/** `fds` beyond stdio stay open. Returns only by throwing. */
export function becomeInstalled(drainLimitMs: number, fds: readonly number[]): never {
  // Node.js has marked the descriptors that it was given as close-on-exec.
  for (const fd of [0, 1, 2, ...fds]) fcntl(fd, F_SETFD, 0);
  const argv = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  return execve(process.execPath, argv, { ...process.env, [VARIABLE]: String(drainLimitMs) });
}
