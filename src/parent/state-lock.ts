/** One parent at a time serves in a state directory. */

import { constants, fstatSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, SluiceError } from '../msg/errors.js';
import { Fd } from '../msg/fd.js';
import * as libc from '../msg/libc.js';
import * as linux from '../msg/linux.js';
import type { EventSink } from './events/event.js';
import { removeFile } from './remove-file.js';

const LOCK_FILE = 'sluice.lock';

/**
 * The lock that a parent holds for as long as it serves, on `sluice.lock`: the kernel lets go of
 * it when the process ends. (rootlesskit has a lock on the directory itself.) Where no file can be
 * made there is none.
 *
 * @throws SluiceError ERR_STATE_DIR_LOCKED
 */
export function lockStateDir(stateDir: string, emit: EventSink): Disposable {
  const path = join(stateDir, LOCK_FILE);
  let file: Fd;
  try {
    file = new Fd(openSync(path, constants.O_RDONLY | constants.O_CREAT, 0o600));
  } catch (error) {
    const what = `${path} can't be locked: ${messageOf(error)}`;
    const advice = 'see to it that no other sluice serves there';
    emit({ type: 'problem', code: 'ERR_STATE_LOCK', reason: `${what}; ${advice}` });
    return { [Symbol.dispose]: () => {} };
  }
  const isLocked = libc.flock(file.number, linux.LOCK_EX | linux.LOCK_NB) === 0;
  // One that another parent has removed since it was opened locks nobody out.
  if (isLocked && statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(file.number).ino) {
    return {
      [Symbol.dispose]: () => {
        // A later parent sees of one that stays that nobody holds the lock.
        removeFile(path);
        file.close();
      },
    };
  }
  file.close();
  throw new SluiceError(
    'ERR_STATE_DIR_LOCKED',
    `a sluice serves ${stateDir} already; end that one first if you want another`,
  );
}

/** @throws SluiceError ERR_STATE_DIR_LOCKED where another parent has the lock */
export function refuseLocked(stateDir: string): void {
  lockStateDir(stateDir, () => {})[Symbol.dispose]();
}
