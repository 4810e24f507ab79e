import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Peer } from './peer.js';
import { missingProgram } from './namespace.js';
import { settled } from '../settled.js';
import { startPublisher } from './publisher.js';

const MAIN = fileURLToPath(new URL('../../../dist/programs/parent/cli/main.js', import.meta.url));

export const sluice = sluicePeer('sluice', '`sluice run`: parent and agent');

/** To be compared with `sluice`, whose default is one agent up to seven cores. */
export const twoAgents = sluicePeer(
  'sluice-2-agents',
  '`sluice run --agents=2`: parent and two agents, which share the connections',
  '--agents=2',
);

function sluicePeer(name: string, description: string, ...options: readonly string[]): Peer {
  return {
    name,
    description,
    version: [process.execPath, MAIN, '--version'],
    missing: () =>
      existsSync(MAIN)
        ? missingProgram('unshare', 'nsenter')
        : `${MAIN} does not exist: run 'npm run build'`,
    start: (turn) => {
      const stateDir = `${turn.runtimeFolder}/sluice`;
      const wrapper = [process.execPath, MAIN, 'run', '--state-dir', stateDir, ...options] as const;
      const separator = ['--'];
      return startPublisher({ wrapper, separator, stateDir, portDriver: 'sluice', settled }, turn);
    },
  };
}
