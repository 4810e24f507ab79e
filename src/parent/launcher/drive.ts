/** What the driver's process does once it knows what to serve. */

import { writeSync } from 'node:fs';
import { messageOf, SluiceError } from '../../msg/errors.js';
import { Fd } from '../../msg/fd.js';
import { fcntl } from '../../msg/libc.js';
import { openPidfd } from '../../msg/pidfd.js';
import * as linux from '../../msg/linux.js';
import { aborted } from '../aborted.js';
import { placeIn } from '../agent-place.js';
import type { EarlyStart } from '../early-start.js';
import { problem } from '../events/event.js';
import { Log } from '../log/log.js';
import { Poller } from '../poller.js';
import type { LeftPort } from '../ports.js';
import type { HeldPorts } from '../resume.js';
import { serve } from '../serve.js';
import { lockStateDir } from '../state-lock.js';
import type { DriverNews, Orders } from './driver-child.js';
import { DRIVER_FDS } from './driver-fds.js';
import type { Inherited } from './held-ports.js';
import { LauncherLink } from './launcher-link.js';
import { becomeSuccessor, checkInstalled, takeReload } from './reload.js';
import { STOP_SIGNALS } from './signals.js';

/**
 * Resolves when there is nothing left to serve, or nothing could be served: the launcher is told.
 *
 * @param early is ended where it is for another place, or not of use
 */
export async function drive(orders: Orders, early?: EarlyStart): Promise<void> {
  const { link, inherited, ...options } = orders;
  const log = new Log(options.log);
  const poller = new Poller();
  // A launcher that has stopped reads nothing, and must not stop its driver.
  fcntl(DRIVER_FDS.launcher, linux.F_SETFL, linux.O_NONBLOCK);
  const end = new AbortController();
  const stop = () => end.abort();
  // A launcher without a link is of an earlier version, and ends its driver by SIGTERM.
  const onSignal = link === undefined ? stop : (signal: string) => tellIgnored(signal, log);
  for (const signal of STOP_SIGNALS) process.on(signal, onSignal);
  try {
    using _ = lockStateDir(options.stateDir, (event) => log.event(event));
    using child = openPidfd(options.child.pid);
    poller.add(child.number, linux.EPOLLIN, () => {
      poller.remove(child.number);
      stop();
    });
    const keeper =
      link === undefined
        ? undefined
        : new LauncherLink(new Fd(link), poller, { onEnd: stop, ring });
    const driver = {
      ...options.driver,
      ...takeReload(),
      ...(keeper && { keeper }),
      ...(inherited && { held: heldFrom(inherited) }),
    };
    const successor = {
      check: checkInstalled,
      become: (limitMs: number, ports: readonly LeftPort[]) =>
        becomeSuccessor(limitMs, orders, ports),
    };
    const isFitting = early?.isFor(placeIn(options.child, driver)) === true;
    if (!isFitting) await early?.end();
    const serving = await serve({ ...options, driver }, successor, isFitting ? early : undefined);
    await early?.end();
    tellLauncher({ ready: true });
    await Promise.race([aborted(end.signal), serving.ended]);
    await serving.close();
    tellLauncher({ done: true });
  } catch (error) {
    await early?.end();
    const code = error instanceof SluiceError ? error.code : 'ERR_DRIVER';
    tellLauncher({ code, message: messageOf(error) });
    process.exitCode = 1;
  } finally {
    await poller.close();
  }
}

/** Lost when the launcher is gone, or was told so much that it has not read yet. */
function tellLauncher(news: DriverNews): void {
  try {
    writeSync(DRIVER_FDS.launcher, `${JSON.stringify(news)}\n`);
  } catch {}
}

function ring(): void {
  tellLauncher({ told: true });
}

/** A signal to stop is not the launcher's wish, which comes by the link. */
function tellIgnored(signal: string, log: Log): void {
  const what = `${signal} to the port driver (process ${process.pid}) is ignored`;
  const why = 'it ends with its launcher or its namespaces';
  log.event(problem(new SluiceError('ERR_SIGNAL', `${what}: ${why}`)));
}

function heldFrom({ lastId, ports }: Inherited): HeldPorts {
  return {
    lastId,
    ports: ports.map(({ id, spec, fds }) => ({ id, spec, sockets: fds.map(owned) })),
  };
}

/** Kept out of the programs that this process starts: Node.js sees to that for low numbers only. */
function owned(inherited: number): Fd {
  fcntl(inherited, linux.F_SETFD, linux.FD_CLOEXEC);
  return new Fd(inherited);
}
