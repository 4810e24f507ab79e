import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { messageOf, SluiceError } from '../../msg/errors.js';
import type { ChildContext } from '../../msg/port.js';
import { withoutNodeSettings } from '../node-env.js';
import { nsenterOptions } from '../nsenter.js';
import { programPath } from '../package-folder.js';

const PROGRAM = programPath('child/loopback.js');

/** For a network namespace that was just made. Rejects with ERR_LOOPBACK. */
export async function bringLoopbackUp(child: ChildContext): Promise<void> {
  const args = [...nsenterOptions(child), '--', process.execPath, PROGRAM];
  try {
    await promisify(execFile)('nsenter', args, { env: withoutNodeSettings() });
  } catch (error) {
    const reason = `the loopback device of the new network namespace: ${messageOf(error).trim()}`;
    throw new SluiceError('ERR_LOOPBACK', reason, { cause: error });
  }
}
