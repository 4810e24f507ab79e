/** What the driver's process does once it knows what to serve. */

import { writeSync } from 'node:fs';
import { messageOf, SluiceError } from '../../msg/errors.js';
import type { Fd } from '../../msg/fd.js';
import { openPidfd } from '../../msg/pidfd.js';
import * as linux from '../../msg/linux.js';
import { placeIn } from '../agent-place.js';
import type { EarlyStart } from '../early-start.js';
import { Log } from '../log/log.js';
import { Poller } from '../poller.js';
import { serve, type ServeOptions } from '../serve.js';
import { lockStateDir } from '../state-lock.js';
import { DRIVER_FDS } from './driver-fds.js';
import type { DriverAnswer } from './driver-process.js';
import { becomeInstalled, checkInstalled, takeReload } from './reload.js';

function answer(message: DriverAnswer): void {
  try {
    writeSync(DRIVER_FDS.launcher, `${JSON.stringify(message)}\n`);
  } catch {
    // The launcher is gone, or has started this one in place of another and does not wait.
  }
}

/** Resolves when this process is told to end, or nothing is left to serve. */
async function endOf(child: Fd): Promise<void> {
  const poller = new Poller();
  await new Promise<void>((resolve) => {
    poller.add(child.number, linux.EPOLLIN, () => resolve());
    process.once('SIGTERM', () => resolve());
  });
  await poller.close();
}

/**
 * Resolves when there is nothing left to serve, or nothing could be served: the launcher is told.
 *
 * @param early is ended where it is for another place, or not of use
 */
export async function drive(given: ServeOptions, early?: EarlyStart): Promise<void> {
  const options = { ...given, driver: { ...given.driver, ...takeReload() } };
  try {
    const log = new Log(options.log);
    using _ = lockStateDir(options.stateDir, (event) => log.event(event));
    using child = openPidfd(options.child.pid);
    const end = endOf(child);
    const successor = {
      check: checkInstalled,
      become: (limitMs: number) => becomeInstalled(limitMs, Object.values(DRIVER_FDS)),
    };
    const isFitting = early?.isFor(placeIn(options.child, options.driver)) === true;
    if (!isFitting) await early?.end();
    const serving = await serve(options, successor, isFitting ? early : undefined);
    await early?.end();
    answer({ ready: true });
    await Promise.race([end, serving.ended]);
    await serving.close();
  } catch (error) {
    await early?.end();
    const code = error instanceof SluiceError ? error.code : 'ERR_DRIVER';
    answer({ code, message: messageOf(error) });
    process.exitCode = 1;
  }
}
