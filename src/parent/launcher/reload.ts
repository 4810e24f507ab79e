/**
 * A driver that replaces itself with the installed version: the same process from the outside, new
 * code within. It finds its predecessor's agents as after a crash, puts new ones in their place,
 * and lets the old ones finish their flows.
 */

import { execFile } from 'node:child_process';
import { closeSync, fstatSync, readSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { SluiceError } from '../../msg/errors.js';
import { must } from '../../msg/fd.js';
import * as libc from '../../msg/libc.js';
import * as linux from '../../msg/linux.js';
import { execve } from '../../msg/process.js';
import { programPath } from '../package-folder.js';
import type { LeftPort } from '../ports.js';
import type { Orders } from './driver-child.js';
import { DRIVER_FDS } from './driver-fds.js';
import type { Inherited } from './held-ports.js';

const CLI_MAIN = programPath('parent/cli/main.js');
const CHECK_TIMEOUT_MS = 10_000;
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

/** With the same command line. Returns only by throwing. */
export function becomeInstalled(drainLimitMs: number): never {
  return become(drainLimitMs, process.argv.slice(2), []);
}

/**
 * For a driver's process of a launcher: its successor finds what to do in a file without a name,
 * because an argument has at most 128 KiB, and inherits the `ports` sockets. Returns only by throwing.
 */
export function becomeSuccessor(
  drainLimitMs: number,
  orders: Orders,
  ports: readonly LeftPort[],
): never {
  const left = ports.map(({ id, spec, fds }) => ({ id, spec: JSON.stringify(spec), fds }));
  const inherited: Inherited = { lastId: 0, ports: left };
  const file = must(libc.memfdCreate('sluice-orders'), 'memfd_create');
  writeFileSync(file, JSON.stringify({ ...orders, inherited }));
  const given = [
    DRIVER_FDS.launcher,
    DRIVER_FDS.api,
    ...(orders.link === undefined ? [] : [orders.link]),
  ];
  const fds = [...given, file, ...ports.flatMap((port) => port.fds)];
  return become(drainLimitMs, [String(file)], fds);
}

/** For `becomeSuccessor`'s. */
export function takeOrders(argument: string): Orders {
  // An earlier version gave them as the argument itself.
  if (argument.startsWith('{')) return JSON.parse(argument) as Orders;
  const file = Number(argument);
  const text = Buffer.alloc(fstatSync(file).size);
  readSync(file, text, 0, text.length, 0);
  closeSync(file);
  return JSON.parse(text.toString('utf8')) as Orders;
}

/** `fds` beyond stdio stay open. */
function become(drainLimitMs: number, args: readonly string[], fds: readonly number[]): never {
  // Node.js has marked the descriptors that it was given as close-on-exec.
  for (const fd of [0, 1, 2, ...fds]) libc.fcntl(fd, linux.F_SETFD, 0);
  const [, program = ''] = process.argv;
  const argv = [process.execPath, ...process.execArgv, program, ...args];
  return execve(process.execPath, argv, { ...process.env, [VARIABLE]: String(drainLimitMs) });
}
