import { join } from 'node:path';
import { SluiceError } from '../../msg/errors.js';

export interface SocketOptions {
  readonly socket?: string;
}

/** @throws SluiceError ERR_USAGE when neither the option nor the environment names a socket */
export function socketPathOf(options: SocketOptions): string {
  const path = namedSocket(options);
  if (path !== undefined) return path;
  throw new SluiceError(
    'ERR_USAGE',
    'which API? Give --socket PATH, or set ROOTLESSKIT_STATE_DIR to the state directory that api.sock is in',
  );
}

export function namedSocket({ socket }: SocketOptions): string | undefined {
  const stateDir = process.env['ROOTLESSKIT_STATE_DIR'];
  if (socket !== undefined) return socket;
  return stateDir ? join(stateDir, 'api.sock') : undefined;
}
