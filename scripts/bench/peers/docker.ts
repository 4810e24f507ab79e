/**
 * Peers in which an unmodified rootless dockerd publishes the servers: `docker run -p` with its
 * stock configuration, each turn with a dockerd and a "host" of its own. That host has a neighbour,
 * for clients that are not on its loopback.
 */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Cleanup, temporaryFolder } from '../../../test/harness/cleanup.js';
import { Docker, type DockerOptions } from '../../../test/harness/docker.js';
import { enterAsUser, makeHostWithSubids } from '../../../test/harness/host-with-subids.js';
import { HOST_ADDRESS, enter, makeClient } from '../../../test/harness/namespaces.js';
import { docker as dockerNeed } from '../../../test/harness/needs.js';
import { DOCKER_PATH, REPOSITORY, pathWith, which } from '../../../test/harness/paths.js';
import { DOCKER_ROOTLESSKIT } from '../../../test/harness/sluice.js';
import { type CommandLine, run } from '../command.js';
import { processTree } from '../processes.js';
import { launchServers } from './launch.js';
import { CHILD_PORTS, type Peer, type RunningPeer, type Turn } from './peer.js';
import { sluice } from './sluice.js';

const DOCKER = which('docker', pathWith(...DOCKER_PATH)) ?? 'docker';
const IMAGE = 'bench';
const TAR_TIMEOUT_MS = 10_000;
/** The tree of rootlesskit's processes has these too; they see no forwarded byte. */
const NO_FORWARDERS = ['slirp4netns', 'dockerd', 'containerd'];

export const dockerBuiltin = dockerPeer(
  {
    name: 'builtin',
    description: "rootless Docker with rootlesskit's builtin port driver, and docker-proxy",
    version: [which('dockerd', DOCKER_PATH.join(':')) ?? 'dockerd', '--version'],
    missing: dockerNeed,
  },
  { portDriver: 'builtin' },
);

export const dockerSluice = dockerPeer(
  {
    name: 'sluice',
    description: 'the same Docker with sluice as its port driver',
    version: sluice.version,
    missing: () => dockerNeed() ?? sluice.missing(),
  },
  { portDriver: 'sluice', path: [dirname(DOCKER_ROOTLESSKIT)] },
);

function dockerPeer(about: Omit<Peer, 'start'>, options: DockerOptions): Peer {
  const start = async (turn: Turn): Promise<RunningPeer> => {
    const cleanup = new Cleanup();
    try {
      const host = await makeHostWithSubids(cleanup);
      const neighbour = await makeClient(cleanup, host);
      turn.note([
        `DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER=${options.portDriver}`,
        'dockerd-rootless.sh',
      ]);
      const docker = new Docker(cleanup, { ...options, host });
      await docker.start();
      await importImage(docker);
      const servers = await launchServers(dockerRun(docker, turn), turn, '0.0.0.0');
      cleanup.defer(servers.stop);
      return {
        ports: CHILD_PORTS,
        enter: enterAsUser(host),
        elsewhere: { enter: enter(neighbour), address: HOST_ADDRESS.v4 },
        forwarders: () => processTree([docker.program.pid], [], NO_FORWARDERS),
        stop: () => cleanUp(cleanup),
      };
    } catch (error) {
      await cleanUp(cleanup);
      throw error;
    }
  };
  return { ...about, start };
}

/** A turn's samples count, whatever its end looked like. */
async function cleanUp(cleanup: Cleanup): Promise<void> {
  try {
    await cleanup.run();
  } catch (error) {
    console.error('bench: cleaning up after a turn:', error);
  }
}

/** The machine's own programs make the image: there is no registry. */
async function importImage(docker: Docker): Promise<void> {
  const cleanup = new Cleanup();
  try {
    const folder = temporaryFolder(cleanup);
    const root = join(folder, 'root');
    mkdirSync(join(root, 'etc'), { recursive: true });
    mkdirSync(join(root, 'tmp'));
    for (const name of ['bin', 'lib', 'lib64', 'sbin']) {
      symlinkSync(`usr/${name}`, join(root, name));
    }
    writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\n');
    writeFileSync(join(root, 'etc/group'), 'root:x:0:\n');
    const tar = join(folder, 'root.tar');
    await run(['tar', '-C', root, '--owner=0', '--group=0', '-cf', tar, '.'], TAR_TIMEOUT_MS);
    await docker.docker('import', tar, IMAGE);
  } finally {
    await cleanup.run();
  }
}

function dockerRun(docker: Docker, turn: Turn): CommandLine {
  const publish = Object.entries(CHILD_PORTS).flatMap(([server, port]) => [
    '-p',
    `${port}:${port}/${server === 'udp' ? 'udp' : 'tcp'}`,
  ]);
  const mounts = ['/usr', dirname(process.execPath), REPOSITORY].map(
    (path) => `${path}:${path}:ro`,
  );
  const volumes = [...new Set(mounts), `${turn.folder}:${turn.folder}`].flatMap((v) => ['-v', v]);
  return [
    DOCKER,
    '--host',
    `unix://${docker.socket}`,
    'run',
    '--rm',
    ...publish,
    ...volumes,
    IMAGE,
  ];
}
