import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Cleanup, temporaryFolder } from './cleanup.js';
import { ask } from './http.js';
import { DOCKER_PATH, pathWith, which } from './paths.js';
import { type Program, start } from './processes.js';

const READY_MS = 30_000;

/** The program of a major version: 1 is Debian 12's, 2 comes with the unpacked Docker. */
export function rootlesskitProgram(major: 1 | 2): string | undefined {
  const file = major === 1 ? which('rootlesskit') : which('rootlesskit', DOCKER_PATH.join(':'));
  if (file === undefined) return undefined;
  const { stdout } = spawnSync(file, ['--version'], { encoding: 'utf8' });
  return stdout.includes(` version ${major}.`) ? file : undefined;
}

export interface RootlesskitOptions {
  readonly major: 1 | 2;
  /** pasta is version 2's, and takes no port driver but `none` and `implicit`. */
  readonly net: 'slirp4netns' | 'pasta';
  readonly portDriver: string;
  /** Started in its place, as `docker-rootlesskit` is; it finds the real one on its PATH. */
  readonly program?: readonly string[];
  /** Further options of rootlesskit's, such as --detach-netns (version 2). */
  readonly flags?: readonly string[];
  readonly command?: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export interface Rootlesskit {
  readonly program: Program;
  readonly stateDir: string;
  readonly socket: string;
  /** The process that holds the child namespaces. */
  readonly childPid: number;
}

/** Starts rootlesskit and waits until its API tells of the port driver. */
export async function startRootlesskit(
  cleanup: Cleanup,
  options: RootlesskitOptions,
): Promise<Rootlesskit> {
  const real = rootlesskitProgram(options.major);
  if (real === undefined) throw new Error(`no rootlesskit ${options.major} on this machine`);
  const stateDir = join(temporaryFolder(cleanup), 'state');
  const program = await start(
    cleanup,
    [
      ...(options.program ?? [real]),
      `--state-dir=${stateDir}`,
      `--net=${options.net}`,
      `--port-driver=${options.portDriver}`,
      '--disable-host-loopback',
      ...(options.flags ?? []),
      ...(options.command ?? ['sleep', 'infinity']),
    ],
    { env: { PATH: pathWith(join(real, '..')), ...options.env } },
  );
  const socket = join(stateDir, 'api.sock');
  const pidFile = join(stateDir, 'child_pid');
  /** 0 while it is being written. */
  const childPid = () => (existsSync(pidFile) ? Number(readFileSync(pidFile, 'utf8')) : 0);
  const ready = async () => {
    const { body } = await ask({ socketPath: socket, path: '/v1/info' });
    const { portDriver } = JSON.parse(body) as { portDriver?: { driver: string } };
    return childPid() > 0 && (portDriver?.driver ?? 'none') === options.portDriver;
  };
  await program.until(() => ready().catch(() => false), READY_MS, `an answer on ${socket}`);
  return { program, stateDir, socket, childPid: childPid() };
}
