/** Replacing this process by another program. */

import { SluiceError } from './errors.js';
import { errnoName } from './fd.js';
import * as libc from './libc.js';

/**
 * execve(2). Node.js has marked every descriptor as close-on-exec, stdio included.
 *
 * @throws SluiceError ERR_EXEC; it returns in no other way.
 */
export function execve(
  path: string,
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): never {
  const envp = Object.entries(env).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${value}`],
  );
  const name = errnoName(libc.execve(path, argv, envp));
  throw new SluiceError('ERR_EXEC', `cannot execute ${path}: ${name}`);
}
