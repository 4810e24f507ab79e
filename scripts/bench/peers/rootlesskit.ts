/** Peers that rootlesskit starts, and publishes the ports of. */
import { existsSync } from 'node:fs';
import { DOCKER_ROOTLESSKIT } from '../../../test/harness/sluice.js';
import { type CommandLine, isExecutable, which } from '../command.js';
import { named } from '../processes.js';
import { missingProgram } from './namespace.js';
import type { Peer, RunningPeer, Turn } from './peer.js';
import { type Publisher, startPublisher } from './publisher.js';
import { sluice } from './sluice.js';

/** Where scripts/test/install.sh unpacks a current one. */
const UNPACKED = '/var/cache/sluice-test/docker/usr/bin/rootlesskit';

export const ROOTLESSKIT =
  process.env['SLUICE_BENCH_ROOTLESSKIT'] ??
  (isExecutable(UNPACKED) ? UNPACKED : (which('rootlesskit') ?? 'rootlesskit'));
/** It calls its child "exe", after /proc/self/exe. */
const ROOTLESSKIT_NAMES = ['rootlesskit', 'exe'];
const SLIRP4NETNS = 'slirp4netns';

export const builtin: Peer = {
  name: 'builtin',
  description: "rootlesskit's builtin port driver: its parent and child (slirp4netns not counted)",
  version: [ROOTLESSKIT, '--version'],
  missing,
  start: (turn) => startRootlesskit([ROOTLESSKIT], { portDriver: 'builtin' }, turn),
};

export const slirp4netns: Peer = {
  name: SLIRP4NETNS,
  description: "slirp4netns's own forwarding, rootlesskit's port driver of that name",
  version: [SLIRP4NETNS, '--version'],
  missing,
  async start(turn) {
    // It connects to the tap device's address.
    const options = { portDriver: SLIRP4NETNS, address: '0.0.0.0', ignored: [] };
    const running = await startRootlesskit([ROOTLESSKIT], options, turn);
    return { ...running, forwarders: () => named(running.forwarders(), SLIRP4NETNS) };
  },
};

export const dockerRootlesskit: Peer = {
  name: 'docker-rootlesskit',
  description: "sluice under rootlesskit: our processes (rootlesskit's own not counted)",
  version: sluice.version,
  missing: () =>
    existsSync(DOCKER_ROOTLESSKIT) ? (sluice.missing() ?? missing()) : `no ${DOCKER_ROOTLESSKIT}`,
  start(turn) {
    const launcher = ['env', `SLUICE_ROOTLESSKIT=${ROOTLESSKIT}`, DOCKER_ROOTLESSKIT] as const;
    const options = { portDriver: 'sluice', ignored: [...ROOTLESSKIT_NAMES, SLIRP4NETNS] };
    return startRootlesskit(launcher, options, turn);
  },
};

function missing(): string | undefined {
  return isExecutable(ROOTLESSKIT)
    ? missingProgram(SLIRP4NETNS, 'newuidmap')
    : `no rootlesskit at '${ROOTLESSKIT}': install it or name one in SLUICE_BENCH_ROOTLESSKIT`;
}

function startRootlesskit(
  launcher: CommandLine,
  options: Omit<Publisher, 'wrapper' | 'stateDir'>,
  turn: Turn,
): Promise<RunningPeer> {
  const stateDir = `${turn.runtimeFolder}/rootlesskit`;
  const wrapper: CommandLine = [
    ...launcher,
    `--state-dir=${stateDir}`,
    `--net=${SLIRP4NETNS}`,
    '--disable-host-loopback',
    `--port-driver=${options.portDriver}`,
  ];
  return startPublisher({ ...options, wrapper, stateDir }, turn);
}
