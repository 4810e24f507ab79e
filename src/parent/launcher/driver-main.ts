/** The driver's process: see driver-process.ts. */

import { readFileSync, writeSync } from 'node:fs';
import { messageOf, SluiceError } from '../../msg/errors.js';
import { openPidfd } from '../../msg/pidfd.js';
import * as linux from '../../msg/linux.js';
import { Log } from '../log/log.js';
import { Poller } from '../poller.js';
import { serve, type ServeOptions } from '../serve.js';
import { lockStateDir } from '../state.js';
import { DRIVER_FDS, type DriverAnswer } from './driver-process.js';
import { becomeInstalled, checkInstalled, takeReload } from './reload.js';

function answer(message: DriverAnswer): void {
  try {
    writeSync(DRIVER_FDS.launcher, `${JSON.stringify(message)}\n`);
  } catch {
    // The launcher is gone, or has started this one in place of another and does not wait.
  }
}

/** Resolves when this process is told to end, or nothing is left to serve. */
async function endOf(pid: number): Promise<void> {
  using child = openPidfd(pid);
  const poller = new Poller();
  await new Promise<void>((resolve) => {
    poller.add(child.number, linux.EPOLLIN, () => resolve());
    process.once('SIGTERM', () => resolve());
  });
  await poller.close();
}

async function main(given: ServeOptions): Promise<void> {
  const options = { ...given, driver: { ...given.driver, ...takeReload() } };
  try {
    const log = new Log(options.log);
    using _ = lockStateDir(options.stateDir, (event) => log.event(event));
    const end = endOf(options.child.pid);
    const serving = await serve(options, {
      check: checkInstalled,
      become: (limitMs) => becomeInstalled(limitMs, Object.values(DRIVER_FDS)),
    });
    answer({ ready: true });
    await Promise.race([end, serving.ended]);
    await serving.close();
  } catch (error) {
    const code = error instanceof SluiceError ? error.code : 'ERR_DRIVER';
    answer({ code, message: messageOf(error) });
    process.exitCode = 1;
  }
}

// Its launcher trusts it as itself. A successor, after a reload, is given what its predecessor was.
const text = process.argv[2] ?? readFileSync(DRIVER_FDS.launcher, 'utf8');
// The launcher was killed, or gave up.
if (text === '') process.exit();
process.argv[2] = text;
void main(JSON.parse(text) as ServeOptions).finally(() => process.exit());
