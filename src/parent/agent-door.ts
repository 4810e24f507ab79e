/**
 * Why an agent's door can't be taken: pidfd_getfd(2) wants the right to trace the agent (ptrace(2),
 * "Ptrace access mode checking"). A driver that is killed, or replaces itself, has no other way to
 * its agents: their connections end then, and its ports are opened again.
 */

import { SluiceError } from '../msg/errors.js';
import { errnoName } from '../msg/fd.js';
import * as linux from '../msg/linux.js';
import { readSysctl } from './sysctl.js';

export const PTRACE_SCOPE = 'kernel.yama.ptrace_scope';
/** Nobody may trace anybody: ptrace(2). It can't be set back before the next boot. */
export const NO_ATTACH = '3';

/** For the negative errno of pidfd_getfd. */
export function doorError(result: number): SluiceError {
  const name = errnoName(result);
  if (result === linux.ESRCH) return new SluiceError('ERR_AGENT_ENDED', 'the agent has ended');
  const what = `pidfd_getfd failed: ${name}`;
  if (result !== linux.EPERM && result !== linux.EACCES) return new SluiceError(name, what);
  const scope = readSysctl(PTRACE_SCOPE);
  const why =
    scope === NO_ATTACH
      ? `${PTRACE_SCOPE} is ${scope}`
      : 'a security module, a seccomp filter, or capabilities of the Node.js binary forbid it';
  return new SluiceError('ERR_AGENT_DOOR', `${what}; ${why}`);
}

/** Before such an error, at a driver's start. */
export const CLOSED_DOORS =
  'connections will end if this driver is killed, and it can’t be reloaded: its agents can’t be handed over to another one: ';

export function cannotReload(cause: SluiceError): SluiceError {
  const what = 'the agents can’t be handed over to another driver, and their connections would end';
  return new SluiceError(
    'ERR_RELOAD',
    `${what}: ${cause.message}; restart the engine for the new version`,
    { cause },
  );
}
