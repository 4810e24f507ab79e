import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Peer } from './peer.js';
import { missingProgram } from './namespace.js';
import { startPublisher } from './publisher.js';

const MAIN = fileURLToPath(new URL('../../../dist/parent/cli/main.js', import.meta.url));

export const sluice: Peer = {
  name: 'sluice',
  description: '`sluice run`: parent and agent',
  version: [process.execPath, MAIN, '--version'],
  missing: () =>
    existsSync(MAIN)
      ? missingProgram('unshare', 'nsenter')
      : `${MAIN} does not exist: run 'npm run build'`,
  start: (turn) => {
    const stateDir = `${turn.runtimeFolder}/sluice`;
    const wrapper = [process.execPath, MAIN, 'run', '--state-dir', stateDir] as const;
    return startPublisher({ wrapper, separator: ['--'], stateDir, portDriver: 'sluice' }, turn);
  },
};
