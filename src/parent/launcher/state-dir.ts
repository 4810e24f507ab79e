/** rootlesskit's state directory: what is in it, and whom it belongs to. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { SluiceError } from '../../msg/errors.js';
import type { ChildContext } from '../../msg/port.js';

/** Where callers look for the API. */
export function apiSocketOf(stateDir: string): string {
  return join(stateDir, 'api.sock');
}

/** Where rootlesskit's own API is while ours takes its place. Not longer than `api.sock`. */
export function movedApiSocketOf(stateDir: string): string {
  return join(stateDir, 'rlk.sock');
}

const WRITABLE_BY_OTHERS = 0o002;

/**
 * @throws SluiceError ERR_STATE_DIR_FOREIGN when it exists and is another user's, ERR_STATE_DIR_OPEN
 * when every user may put another socket in the place of ours
 */
export function assertOwn(stateDir: string): void {
  const found = statSync(stateDir, { throwIfNoEntry: false });
  if (found === undefined) return;
  const user = process.getuid?.();
  if (found.uid !== user) {
    throw new SluiceError(
      'ERR_STATE_DIR_FOREIGN',
      `the state directory ${stateDir} belongs to user ${found.uid}, and this is user ${user}; give another one with --state-dir, or run this as that user`,
    );
  }
  if ((found.mode & WRITABLE_BY_OTHERS) !== 0) {
    throw new SluiceError(
      'ERR_STATE_DIR_OPEN',
      `every user may write to the state directory ${stateDir}; take that away with \`chmod o-w ${stateDir}\`, or give another one with --state-dir`,
    );
  }
}

/** @throws SluiceError ERR_STATE_DIR when rootlesskit's child is not named there */
export function readChildPid(stateDir: string): number {
  const file = join(stateDir, 'child_pid');
  const text = existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
  const pid = Number(text);
  if (!Number.isSafeInteger(pid) || pid < 1) {
    throw new SluiceError(
      'ERR_STATE_DIR',
      `${stateDir} is not the state directory of a running rootlesskit: its file child_pid ${text === '' ? 'is missing' : `says "${text}"`}`,
    );
  }
  return pid;
}

/** Where the namespaces of the rootlesskit with that state directory are. */
export function childContextOf(stateDir: string, pid = readChildPid(stateDir)): ChildContext {
  // A bind mount that only the child's mount namespace shows (rootlesskit --detach-netns).
  const netnsPath = `/proc/${pid}/root${join(stateDir, 'netns')}`;
  return { pid, ...(existsSync(netnsPath) && { netnsPath }) };
}
