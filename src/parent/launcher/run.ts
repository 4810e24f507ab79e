import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { SluiceError } from '../../msg/errors.js';
import type { Spec } from '../../msg/port.js';
import type { DriverOptions } from '../driver.js';
import type { LogOptions } from '../log/options.js';
import type { TcpAddress } from '../metrics/listen.js';
import { FORBIDDING_USER_NAMESPACES, readSysctl, setSysctl } from '../sysctl.js';
import { placeIn } from '../agent-place.js';
import { Gate } from './gate.js';
import { bringLoopbackUp } from './loopback.js';
import { canBeEntered } from './namespaces.js';
import { stopSignal } from './signals.js';
import { apiSocketOf, assertOwn } from './state-dir.js';
import { supervise } from './supervise.js';

export interface RunOptions {
  readonly publish: readonly Spec[];
  readonly command: readonly string[];
  /** Where to serve the API; without it a folder of its own for as long as the command runs. */
  readonly stateDir?: string;
  readonly driver?: DriverOptions;
  /** Default: warnings on stderr. */
  readonly log?: LogOptions;
  readonly metricsListen?: TcpAddress | undefined;
}

const UNSHARE = ['unshare', '--user', '--map-root-user', '--net', '--'] as const;

/**
 * Runs `command` in a user and network namespace of its own, with ports published.
 * Resolves with its exit code; 128 and the signal's number after a signal.
 */
export async function run({
  publish,
  command,
  stateDir: given,
  driver = {},
  log = {},
  metricsListen,
}: RunOptions): Promise<number> {
  using _ = stopSignal();
  const { stateDir, made } = makeStateDir(given);
  const gate = new Gate(stateDir);
  let inNamespaces = false;
  try {
    const code = await supervise({
      command: [...UNSHARE, ...gate.hold(command)],
      env: { ...process.env, ROOTLESSKIT_STATE_DIR: stateDir },
      gate,
      lookAhead: (pid) => (canBeEntered({ pid }) ? placeIn({ pid }, driver) : undefined),
      serve: async (waiting, pid) => {
        inNamespaces = true;
        await bringLoopbackUp({ pid });
        const apiSocket = apiSocketOf(stateDir);
        const served = { child: { pid }, stateDir, apiSocket, publish };
        return waiting.keep({ ...served, driver, log, metricsListen });
      },
    });
    if (!inNamespaces && code === 1) throw noNamespaces();
    return code;
  } catch (error) {
    throw isMissing(error) ? noUnshare(error) : error;
  } finally {
    if (made !== undefined) rmSync(made, { recursive: true, force: true });
  }
}

/** `made` is the topmost folder that was not there before. */
function makeStateDir(given: string | undefined): { stateDir: string; made: string | undefined } {
  if (given) {
    const stateDir = resolve(given);
    const made = mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    assertOwn(stateDir);
    return { stateDir, made };
  }
  const stateDir = mkdtempSync(join(process.env['XDG_RUNTIME_DIR'] || tmpdir(), 'sluice-run-'));
  return { stateDir, made: stateDir };
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT' && 'syscall' in error;
}

function noUnshare(cause: unknown): SluiceError {
  return new SluiceError(
    'ERR_NO_UNSHARE',
    `no "unshare" on the PATH (${process.env['PATH'] ?? ''}); install util-linux`,
    { cause },
  );
}

function noNamespaces(): SluiceError {
  const advice = FORBIDDING_USER_NAMESPACES.filter(({ name, value }) => readSysctl(name) === value)
    .map(({ name, value, remedy }) => `${name} is ${value}: ${setSysctl(name, remedy)}`)
    .join('; ');
  return new SluiceError(
    'ERR_NO_USER_NAMESPACES',
    `unshare could not make a user and network namespace; ${advice || 'its own message above says why (in a container, its seccomp profile may forbid them)'}`,
  );
}
