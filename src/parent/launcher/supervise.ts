import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { SluiceError } from '../../msg/errors.js';
import type { AgentPlace } from '../agent-place.js';
import { report } from '../cli/report.js';
import { type Running, WaitingDriver } from './driver-process.js';
import type { Gate } from './gate.js';
import { withCallersSettings } from './callers-settings.js';
import { forwardSignals } from './signals.js';

export interface Supervised {
  /** A program that makes the namespaces and runs in them what `gate` holds back. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly gate: Gate;
  /** Where an agent may be started before the namespaces are complete; undefined until it may. */
  readonly lookAhead: (pid: number) => AgentPlace | undefined;
  /** Called once the namespaces are there: tells the driver, which has started meanwhile, of them. */
  readonly serve: (driver: WaitingDriver, pid: number) => Promise<Running>;
}

/**
 * Runs the program with a port driver next to it and resolves with its exit code, 128 and the
 * signal's number after a signal, when everything is closed again.
 *
 * When the driver can't start or go on, the program is ended and the driver's error thrown.
 */
export async function supervise(supervised: Supervised): Promise<number> {
  const { command, env, gate, lookAhead, serve } = supervised;
  // First, since it is the last to be ready.
  using driver = new WaitingDriver();
  const [file = '', ...args] = withCallersSettings(command);
  const child = spawn(file, args, { stdio: 'inherit', env });
  const exit = exitOf(child);
  let isHeld = true;
  using signals = forwardSignals(child, () => isHeld);
  try {
    await once(child, 'spawn');
    const isOver = () => child.exitCode !== null || child.signalCode !== null;
    let serving: Running;
    let isReached = false;
    try {
      const pid = child.pid ?? 0;
      const look = () => driver.beginAgent(() => lookAhead(pid));
      if (!(await gate.reached(isOver, look))) return await exit;
      isReached = true;
      serving = await serve(driver, pid);
    } catch (error) {
      driver[Symbol.dispose]();
      // Without the namespaces it could not but fail.
      const wasOver = isOver();
      // Before the program, which has only the end of the shell at the gate to tell of.
      const isTold = !wasOver && isAboutPort(error);
      if (isTold) report(error);
      gate.close();
      // The gate is no way to end a shell that doesn't stand there yet.
      if (!isReached) child.kill('SIGTERM');
      const code = await exit;
      if (wasOver) return code;
      if (isTold) return 1;
      // The terminal's signals end the tools that were started here, too, and those may come first.
      const signal = signals.first();
      if (signal !== undefined) return codeOf(signal);
      throw error;
    }
    isHeld = false;
    gate.open();
    return await serveUntil(exit, serving, child);
  } finally {
    gate.close();
  }
}

/** Such a failure is never the consequence of a signal, as that of a tool may be. */
function isAboutPort(error: unknown): boolean {
  return error instanceof SluiceError && /^ERR_(?:BIND|CONFLICT|PROTO)/.test(error.code);
}

async function serveUntil(
  exit: Promise<number>,
  serving: Running,
  child: ChildProcess,
): Promise<number> {
  serving.ended.catch(() => child.kill('SIGTERM'));
  const code = await exit;
  // Rejects as `ended` did.
  await serving.close();
  return code;
}

function exitOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => {
      resolve(code ?? (signal === null ? 128 : codeOf(signal)));
    });
  });
}

function codeOf(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}
