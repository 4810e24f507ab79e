import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Status } from '../../dist/msg/port.js';
import { Cleanup, temporaryFolder } from './cleanup.js';
import { enterAsUser } from './host-with-subids.js';
import { ask } from './http.js';
import type { Namespace } from './namespaces.js';
import { DOCKER_PREFIX, commandsIn, pathWith, which } from './paths.js';
import { type Program, run, start } from './processes.js';
import { endShims } from './shims.js';
import { commandsFolder } from './sluice.js';
import { writeWhoPage } from './who.js';

const READY_MS = 45_000;

/** dockerd gives its containers 15 s before it ends. */
const GRACE_MS = 30_000;

/** Serves WEB_BODY and the page of writeWhoPage on port 80. */
export const WEB_IMAGE = 'web';
export const WEB_BODY = 'answer of the container\n';
export const WEB_COMMAND = ['/bin/busybox', 'httpd', '-f', '-p', '80', '-h', '/www'];

export interface DockerOptions {
  /** Where Docker is unpacked, see paths.ts; the current one without it. */
  readonly prefix?: string;
  readonly portDriver: string;
  readonly rootlesskitFlags?: readonly string[];
  /** First on the PATH: a docker-rootlesskit in there is what dockerd-rootless.sh starts. */
  readonly path?: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly dockerdFlags?: readonly string[];
  /** Where all of it runs, see makeHostWithSubids; the machine itself without it. */
  readonly host?: Namespace;
}

/** A rootless dockerd with folders of its own, which a restart finds again. */
export class Docker {
  /** rootlesskit's state directory. */
  readonly stateDir: string;
  readonly socket: string;
  #program: Program | undefined;
  readonly #cleanup: Cleanup;
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #flags: readonly string[];
  readonly #host: Namespace | undefined;
  readonly #prefix: string;

  constructor(cleanup: Cleanup, options: DockerOptions) {
    const home = temporaryFolder(new Cleanup());
    // Only the user namespace's root may remove what belongs to its other users.
    cleanup.defer(() =>
      run(['unshare', '--user', '--map-auto', '--map-root-user', 'rm', '-rf', home]),
    );
    cleanup.defer(() => endShims(home));
    const runtime = join(home, 'run');
    mkdirSync(runtime, { mode: 0o700 });
    this.stateDir = join(runtime, 'dockerd-rootless');
    this.socket = join(runtime, 'docker.sock');
    this.#cleanup = cleanup;
    this.#flags = options.dockerdFlags ?? [];
    this.#host = options.host;
    this.#prefix = options.prefix ?? DOCKER_PREFIX;
    this.#env = {
      HOME: home,
      XDG_RUNTIME_DIR: runtime,
      XDG_DATA_HOME: undefined,
      XDG_CONFIG_HOME: undefined,
      PATH: pathWith(...(options.path ?? []), ...commandsIn(this.#prefix)),
      DOCKER_HOST: `unix://${this.socket}`,
      DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER: options.portDriver,
      // The script of 20.10 names none.
      DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS: [
        `--state-dir=${this.stateDir}`,
        ...(options.rootlesskitFlags ?? []),
      ].join(' '),
      ...options.env,
    };
  }

  /** dockerd's process, or rootlesskit's to be exact. */
  get program(): Program {
    if (this.#program === undefined) throw new Error('dockerd was not started');
    return this.#program;
  }

  async start(): Promise<void> {
    const script = join(this.#prefix, 'usr/share/docker.io/contrib/dockerd-rootless.sh');
    const command = [script, '--storage-driver=vfs', ...this.#flags];
    const program = await start(
      this.#cleanup,
      this.#host === undefined ? command : enterAsUser(this.#host, ...command),
      { env: this.#env, graceMs: GRACE_MS },
    );
    this.#program = program;
    await program.until(() => this.docker('version'), READY_MS, 'an answer of dockerd');
  }

  async stop(): Promise<void> {
    await this.program.end();
  }

  /** Runs the docker command and returns its output. */
  async docker(...args: readonly string[]): Promise<string> {
    return (await run(['docker', ...args], { env: this.#env })).trim();
  }

  /** Starts a container of WEB_IMAGE and returns its id. */
  runWeb(...options: readonly string[]): Promise<string> {
    return this.docker('run', '--detach', ...options, WEB_IMAGE);
  }

  async removeContainers(): Promise<void> {
    const ids = await this.docker('ps', '--all', '--quiet');
    if (ids !== '') await this.docker('rm', '--force', '--volumes', ...ids.split('\n'));
  }

  /** The ports that rootlesskit's API lists. */
  async ports(): Promise<readonly Status[]> {
    const { body } = await ask({ socketPath: join(this.stateDir, 'api.sock'), path: '/v1/ports' });
    // The builtin driver's list is null when it is empty.
    return (JSON.parse(body) as Status[] | null) ?? [];
  }

  /** 20.10 can't put it into an image. */
  get #stopSignal(): string[] {
    return this.#prefix === DOCKER_PREFIX ? ['STOPSIGNAL SIGKILL'] : [];
  }

  /** Makes WEB_IMAGE out of the machine's own busybox: there is no registry. */
  async importWebImage(): Promise<void> {
    const cleanup = new Cleanup();
    try {
      const folder = temporaryFolder(cleanup);
      const root = join(folder, 'root');
      for (const name of ['bin', 'www']) mkdirSync(join(root, name), { recursive: true });
      copyFileSync(which('busybox') ?? '', join(root, 'bin/busybox'));
      symlinkSync('busybox', join(root, 'bin/sh'));
      writeFileSync(join(root, 'www/index.html'), WEB_BODY);
      writeWhoPage(join(root, 'www'));
      const tar = join(folder, 'root.tar');
      await run(['tar', '-C', root, '--owner=0', '--group=0', '-cf', tar, '.']);
      const command = JSON.stringify(WEB_COMMAND);
      // As process 1 it would ignore SIGTERM, and every stop would take ten seconds.
      const changes = [`CMD ${command}`, ...this.#stopSignal].flatMap((one) => ['--change', one]);
      await this.docker('import', ...changes, tar, WEB_IMAGE);
    } finally {
      await cleanup.run();
    }
  }
}

/** The options of a dockerd whose ports sluice publishes. */
export function sluiceOptions(cleanup: Cleanup): DockerOptions {
  return { portDriver: 'sluice', path: [commandsFolder(cleanup)] };
}

/** Added to the options: a detached network namespace, which dockerd 29 enters by itself. */
export function detachNetns(cleanup: Cleanup): Partial<DockerOptions> {
  const dockerd = join(temporaryFolder(cleanup), 'dockerd');
  const script = 'exec nsenter --net="$ROOTLESSKIT_STATE_DIR/netns" dockerd "$@"';
  writeFileSync(dockerd, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return { rootlesskitFlags: ['--detach-netns'], env: { DOCKERD: dockerd } };
}

/** A dockerd that answers and has WEB_IMAGE. */
export async function startDocker(cleanup: Cleanup, options: DockerOptions): Promise<Docker> {
  const docker = new Docker(cleanup, options);
  await docker.start();
  await docker.importWebImage();
  return docker;
}
