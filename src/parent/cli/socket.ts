import { join } from 'node:path';
import { SluiceError } from '../../msg/errors.js';

export interface SocketOptions {
  readonly socket?: string;
}

/** @throws SluiceError ERR_USAGE when neither the option nor the environment names a socket */
export function socketPathOf({ socket }: SocketOptions): string {
  const stateDir = process.env['ROOTLESSKIT_STATE_DIR'];
  if (socket !== undefined) {
    return socket;
  }
  if (stateDir === undefined || stateDir === '') {
    throw new SluiceError(
      'ERR_USAGE',
      'which API? Give --socket PATH, or set ROOTLESSKIT_STATE_DIR to the state directory that api.sock is in',
    );
  }
  return join(stateDir, 'api.sock');
}
