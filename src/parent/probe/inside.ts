/** Probes from the child's network namespace, or from that of a process below it. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { SluiceError, messageOf } from '../../msg/errors.js';
import type { ChildContext } from '../../msg/port.js';
import { withoutNodeSettings } from '../node-env.js';
import { nsenterOptions } from '../nsenter.js';
import { programPath } from '../package-folder.js';
import type { Owner } from './owner.js';
import type { Finding, ProbeOptions } from './result.js';
import type { Endpoint } from './target.js';

const PROGRAM = programPath('parent/probe/inside-main.js');

/** What the program inside is told, as JSON. */
export interface Question {
  readonly endpoints: readonly Endpoint[];
  /** In base64. */
  readonly payload?: string;
  readonly timeoutMs: number;
}

/** About one of the endpoints. */
export interface Answer {
  readonly finding: Finding;
  readonly owner: Owner;
}

/**
 * In the order of the endpoints.
 *
 * @throws SluiceError ERR_PROBE_INSIDE when there is no getting in
 */
export async function probeInside(
  child: ChildContext,
  endpoints: readonly Endpoint[],
  { payload, timeoutMs }: ProbeOptions,
): Promise<Answer[]> {
  const question: Question = {
    endpoints,
    timeoutMs,
    ...(payload !== undefined && { payload: Buffer.from(payload).toString('base64') }),
  };
  const args = [...nsenterOptions(child), '--', process.execPath, PROGRAM];
  const running = promisify(execFile)('nsenter', args, { env: withoutNodeSettings() });
  // One that ends before it has read all says why on stderr.
  running.child.stdin?.on('error', () => {}).end(JSON.stringify(question));
  try {
    return JSON.parse((await running).stdout) as Answer[];
  } catch (error) {
    throw new SluiceError('ERR_PROBE_INSIDE', `cannot look inside: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

function reasonOf(error: unknown): string {
  const { code, stderr = '' } = error as NodeJS.ErrnoException & { stderr?: string };
  if (code === 'ENOENT') return 'nsenter was not found on the PATH; install util-linux';
  return stderr.trim() || messageOf(error);
}
