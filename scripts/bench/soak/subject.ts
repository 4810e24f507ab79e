/** What is soaked: sluice under rootless Docker, or by itself where there is none. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createApiClient } from '../../../src/parent/api/client.js';
import { type Cleanup, temporaryFolder } from '../../../test/harness/cleanup.js';
import { type Docker, sluiceOptions, startDocker } from '../../../test/harness/docker.js';
import { docker as dockerNeed } from '../../../test/harness/needs.js';
import { type Program, start } from '../../../test/harness/processes.js';
import { sluice } from '../../../test/harness/sluice.js';
import { settled } from '../settled.js';
import { BEHIND } from './load.js';

const READY_MS = 30_000;
/** UDP sessions end so soon that those of the load are gone when everything is counted. */
const UDP_TIMEOUT_S = 5;
const FLAGS = [`--udp-timeout=${UDP_TIMEOUT_S}`, `--udp-timeout-stream=${UDP_TIMEOUT_S}`];

export interface Subject {
  readonly launcher: Program;
  readonly apiSocket: string;
  /** A process in the child namespaces. */
  readonly childPid: number;
  /** Undefined where the machine can't have one. */
  readonly docker: Docker | undefined;
}

export async function startSubject(cleanup: Cleanup): Promise<Subject> {
  const missing = dockerNeed();
  if (missing !== undefined) {
    console.error(`\n!!! WITHOUT CONTAINERS: ${missing}\n`);
    return startAlone(cleanup);
  }
  const env = { DOCKERD: dockerdBehind(cleanup) };
  const options = { ...sluiceOptions(cleanup), rootlesskitFlags: FLAGS, env };
  const docker = await startDocker(cleanup, options);
  return subjectOf(docker.program, join(docker.stateDir, 'api.sock'), docker);
}

/** dockerd-rootless.sh takes the name of one program. */
function dockerdBehind(cleanup: Cleanup): string {
  const path = join(temporaryFolder(cleanup), 'dockerd');
  const words = BEHIND.map((word) => `'${word}'`).join(' ');
  writeFileSync(path, `#!/bin/sh\nexec ${words} dockerd "$@"\n`, { mode: 0o755 });
  return path;
}

async function startAlone(cleanup: Cleanup): Promise<Subject> {
  const stateDir = temporaryFolder(cleanup);
  const command = ['sh', '-c', 'echo ready && exec sleep infinity'];
  const run = sluice('run', '--state-dir', stateDir, ...FLAGS, '--', ...command);
  const launcher = await start(cleanup, run);
  await launcher.line(/^ready$/m, READY_MS);
  return subjectOf(launcher, join(stateDir, 'api.sock'), undefined);
}

async function subjectOf(
  launcher: Program,
  apiSocket: string,
  docker: Docker | undefined,
): Promise<Subject> {
  await settled(apiSocket);
  const { childPID: childPid } = await createApiClient(apiSocket).info();
  return { launcher, apiSocket, childPid, docker };
}
