import { isExecutable, which } from '../command.js';
import { missingProgram } from './namespace.js';
import type { Peer } from './peer.js';
import { startPublisher } from './publisher.js';

/** Where scripts/test/install.sh unpacks a current one. */
const UNPACKED = '/var/cache/sluice-test/docker/usr/bin/rootlesskit';

const ROOTLESSKIT =
  process.env['SLUICE_BENCH_ROOTLESSKIT'] ??
  (isExecutable(UNPACKED) ? UNPACKED : (which('rootlesskit') ?? 'rootlesskit'));

export const builtin: Peer = {
  name: 'builtin',
  description: "rootlesskit's builtin port driver: its parent and child (slirp4netns not counted)",
  version: [ROOTLESSKIT, '--version'],
  missing: () =>
    isExecutable(ROOTLESSKIT)
      ? missingProgram('slirp4netns', 'newuidmap')
      : `no rootlesskit at '${ROOTLESSKIT}': install it or name one in SLUICE_BENCH_ROOTLESSKIT`,
  start: (turn) =>
    startPublisher(
      [
        ROOTLESSKIT,
        `--state-dir=${turn.folder}/rootlesskit`,
        '--net=slirp4netns',
        '--disable-host-loopback',
        '--port-driver=builtin',
      ],
      [],
      turn,
    ),
};
