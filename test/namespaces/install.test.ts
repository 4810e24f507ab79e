/** What `sluice install` writes, given to the engines' own ways of starting. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { expect, it } from 'vitest';
import { type Cleanup, temporaryFolder } from '../harness/cleanup.js';
import { Docker } from '../harness/docker.js';
import { ask } from '../harness/http.js';
import { docker as needsDocker, rootlesskit, tool, userNamespaces } from '../harness/needs.js';
import { DOCKER_PATH, pathWith } from '../harness/paths.js';
import { run } from '../harness/processes.js';
import { SLUICE, sluice } from '../harness/sluice.js';
import { describeWith, perTest } from '../harness/suite.js';

const UNITS = '.config/systemd/user';
const UNSET = { XDG_CONFIG_HOME: undefined, XDG_DATA_HOME: undefined };

/** A home with a unit as the engine's setup tool writes it, and sluice installed. */
async function installed(cleanup: Cleanup, engine: string, path: string): Promise<string> {
  const home = temporaryFolder(cleanup);
  mkdirSync(join(home, UNITS), { recursive: true });
  const unit = `[Service]\nEnvironment="PATH=${path}"\nExecStart=/bin/true\n`;
  writeFileSync(join(home, UNITS, `${engine}.service`), unit);
  await run(sluice('install', engine), { env: { HOME: home, ...UNSET } });
  return home;
}

/** What the drop-in's Environment= lines set. */
function environment(home: string, engine: string): Record<string, string> {
  const text = readFileSync(join(home, UNITS, `${engine}.service.d/sluice.conf`), 'utf8');
  const lines = text.matchAll(/^Environment="(\w+)=(.*)"$/gm);
  return Object.fromEntries([...lines].map(([, name = '', value = '']) => [name, value]));
}

describeWith([needsDocker], 'rootless Docker with the drop-in', () => {
  const cleanup = perTest();

  it('publishes through sluice', async () => {
    const path = [...DOCKER_PATH, pathWith()].join(delimiter);
    const env = environment(await installed(cleanup, 'docker', path), 'docker');
    const docker = new Docker(cleanup, { portDriver: 'builtin', env });
    await docker.start();
    const socketPath = join(docker.stateDir, 'api.sock');
    const { body } = await ask({ socketPath, path: '/v1/info' });
    expect(JSON.parse(body)).toMatchObject({ portDriver: { driver: 'sluice' } });
  });
});

describeWith([rootlesskit(1)], 'rootlesskit, called as containerd-rootless.sh does', () => {
  const cleanup = perTest();

  it('publishes through sluice with the drop-in', async () => {
    const home = await installed(cleanup, 'containerd', pathWith());
    const script = [
      'rootlesskit --help | grep -qw -- --port-driver',
      'exec rootlesskit --state-dir="$HOME/state" --net=slirp4netns --mtu=65520 \\',
      '  --slirp4netns-sandbox=auto --slirp4netns-seccomp=auto --disable-host-loopback \\',
      '  --port-driver="$CONTAINERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER" \\',
      '  --copy-up=/etc --copy-up=/run --copy-up=/var/lib --propagation=rslave \\',
      '  "$0" "$@"',
    ].join('\n');
    const inside = [process.execPath, SLUICE, 'info', '--json'];
    const env = { HOME: home, ...environment(home, 'containerd') };
    const info = await run(['sh', '-ec', script, ...inside], { env });
    expect(JSON.parse(info)).toMatchObject({ portDriver: { driver: 'sluice' } });
  });
});

describeWith([userNamespaces], 'without systemd', () => {
  const cleanup = perTest();

  it('the settings are printed, and work', async () => {
    const home = temporaryFolder(cleanup);
    const bin = join(home, "it's here", 'sluice/docker/bin');
    // No unit, and none of the folders by which systemd is known.
    const hide = 'mount -t tmpfs tmpfs /run; exec "$@"';
    const unshare = ['unshare', '--user', '--map-current-user', '--keep-caps', '--mount'];
    const env = { HOME: home, XDG_CONFIG_HOME: undefined, XDG_DATA_HOME: join(home, "it's here") };
    const install = [...unshare, 'sh', '-ec', hide, 'sh', ...sluice('install', 'docker')];
    const [, settings = ''] = (await run(install, { env })).split(
      'dockerd-rootless.sh is started:',
    );
    const show = 'echo "$DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER"; command -v docker-rootlesskit';
    expect(await run(['sh', '-ec', `${settings}${show}`])).toBe(
      `sluice\n${bin}/docker-rootlesskit\n`,
    );
    expect(existsSync(join(home, '.config'))).toBe(false);
  });
});

describeWith([tool('systemd-analyze'), tool('rootlesskit')], 'systemd', () => {
  const cleanup = perTest();

  it.each(['docker', 'containerd'])('understands the drop-in of %s', async (engine) => {
    const home = await installed(cleanup, engine, String.raw`/a\"b %%c\\d:${pathWith()}`);
    const runtime = temporaryFolder(cleanup);
    const log = { SYSTEMD_LOG_LEVEL: 'debug', SYSTEMD_LOG_TARGET: 'console' };
    const env = { HOME: home, XDG_RUNTIME_DIR: runtime, ...UNSET, ...log };
    const verify = ['systemd-analyze', 'verify', '--user', '--man=no', `${engine}.service`];
    const output = await run(['sh', '-c', '"$@" 2>&1', 'sh', ...verify], { env });
    expect(output).not.toContain('sluice.conf:');
    const bin = join(home, '.local/share/sluice', engine, 'bin');
    const [, first = ''] = /\tEnvironment: PATH=(.*)/.exec(output) ?? [];
    expect(first.split(delimiter).slice(0, 2)).toEqual([bin, String.raw`/a"b %c\d`]);
  });
});
