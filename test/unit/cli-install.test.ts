import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, dirname, join, relative } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../harness/cleanup.js';
import { DOCKER_ROOTLESSKIT, sluice } from '../harness/sluice.js';
import { perTest } from '../harness/suite.js';
import { type Output, outputOf } from './support/cli.js';

const UNITS = '.config/systemd/user';
const DROP_IN = `${UNITS}/docker.service.d/sluice.conf`;
const BIN = '.local/share/sluice/docker/bin';

describe('an engine with a systemd unit', () => {
  const cleanup = perTest();
  let home: string;
  let tools: string;

  beforeEach(() => {
    home = temporaryFolder(cleanup);
    tools = join(home, 'tools');
    put('tools/rootlesskit', '#!/bin/sh\n');
    chmodSync(join(tools, 'rootlesskit'), 0o755);
    put(`${UNITS}/docker.service`, `[Service]\nEnvironment=PATH=${tools}:/usr/bin:/bin\n`);
  });

  function put(path: string, text: string): void {
    mkdirSync(dirname(join(home, path)), { recursive: true });
    writeFileSync(join(home, path), text);
  }

  function call(...args: readonly string[]): Promise<Output> {
    const env = { HOME: home, XDG_RUNTIME_DIR: join(home, 'run') };
    const unset = { XDG_CONFIG_HOME: undefined, XDG_DATA_HOME: undefined };
    return outputOf(sluice(...args), { env: { ...env, ...unset } });
  }

  /** Every folder, file and link below the home, with what is in it. */
  function tree(): Record<string, string> {
    const entries = readdirSync(home, { recursive: true, withFileTypes: true });
    return Object.fromEntries(
      entries.map((entry) => {
        const path = join(entry.parentPath, entry.name);
        if (entry.isDirectory()) return [relative(home, path), ''];
        const content = entry.isSymbolicLink() ? readlinkSync(path) : readFileSync(path, 'utf8');
        return [relative(home, path), content];
      }),
    );
  }

  function dropIn(path = `${tools}:/usr/bin:/bin`): string {
    return [
      '# Written by "sluice install docker"; "sluice uninstall docker" removes it.',
      '[Service]',
      'Environment="DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER=sluice"',
      `Environment="PATH=${join(home, BIN)}:${path}"`,
      '',
    ].join('\n');
  }

  it('is given a drop-in and a folder for the front of its PATH', async () => {
    const { code, stdout, stderr } = await call('install', 'docker');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toBe(
      [
        `create ${home}/${BIN}/docker-rootlesskit`,
        `  + -> ${DOCKER_ROOTLESSKIT}`,
        `create ${home}/${BIN}/node`,
        `  + -> ${process.execPath}`,
        `create ${home}/${DROP_IN}`,
        ...dropIn()
          .trimEnd()
          .split('\n')
          .map((line) => `  + ${line}`),
        '',
        'To have it take effect, which restarts docker:',
        '  systemctl --user daemon-reload && systemctl --user restart docker',
        '',
      ].join('\n'),
    );
    expect(tree()).toMatchObject({
      [DROP_IN]: dropIn(),
      [`${BIN}/docker-rootlesskit`]: DOCKER_ROOTLESSKIT,
      [`${BIN}/node`]: process.execPath,
    });
  });

  it('gets plain rootlesskit, when it is containerd', async () => {
    put(`${UNITS}/containerd.service`, `[Service]\nEnvironment=PATH=${tools}\n`);
    expect((await call('install', 'containerd')).code).toBe(0);
    const bin = '.local/share/sluice/containerd/bin';
    const after = tree();
    expect(after[`${bin}/rootlesskit`]).toBe(DOCKER_ROOTLESSKIT);
    expect(after[`${UNITS}/containerd.service.d/sluice.conf`]).toContain(
      [
        'Environment="CONTAINERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER=sluice"',
        `Environment="PATH=${join(home, bin)}${delimiter}${tools}"`,
      ].join('\n'),
    );
  });

  it('is only shown what would change in a dry run', async () => {
    const before = tree();
    const dry = await call('install', 'docker', '--dry-run');
    expect(tree()).toEqual(before);
    const real = await call('install', 'docker');
    expect(dry).toEqual({
      ...real,
      stdout: `${real.stdout}\nNothing was changed: this is a dry run.\n`,
    });
    const installed = tree();
    expect((await call('uninstall', 'docker', '--dry-run')).stdout).toContain(
      `remove ${home}/${DROP_IN}\n`,
    );
    expect(tree()).toEqual(installed);
  });

  it('is left alone by a second installation', async () => {
    await call('install', 'docker');
    const before = tree();
    expect((await call('install', 'docker')).stdout).toBe(
      'docker is set up for sluice already\n\nTo have it take effect, which restarts docker:\n  systemctl --user restart docker\n',
    );
    expect(tree()).toEqual(before);
  });

  it('follows a PATH that has changed, and shows the lines that do', async () => {
    await call('install', 'docker');
    // Drop-ins are applied in the order of their names.
    put(`${UNITS}/docker.service.d/10.conf`, '[Service]\nEnvironment=PATH=/first\n');
    put(`${UNITS}/docker.service.d/override.conf`, `[Service]\nEnvironment="PATH=${tools}:/x y"\n`);
    expect((await call('install', 'docker')).stdout).toContain(
      [
        `update ${home}/${DROP_IN}`,
        `  - Environment="PATH=${home}/${BIN}:${tools}:/usr/bin:/bin"`,
        `  + Environment="PATH=${home}/${BIN}:${tools}:/x y"`,
        '',
      ].join('\n'),
    );
    expect(tree()[DROP_IN]).toBe(dropIn(`${tools}:/x y`));
  });

  it.each(['docker', 'containerd'])('is as it was after %s is uninstalled', async (engine) => {
    put(`${UNITS}/docker.service.d/override.conf`, '[Service]\n');
    const before = tree();
    await call('install', engine);
    await call('install', engine);
    expect(tree()).not.toEqual(before);
    expect((await call('uninstall', engine)).code).toBe(0);
    expect(tree()).toEqual(before);
  });

  it('keeps what others have put beside it', async () => {
    await call('install', 'docker');
    put(`${UNITS}/docker.service.d/later.conf`, '[Service]\n');
    await call('uninstall', 'docker');
    expect(Object.keys(tree())).toContain(`${UNITS}/docker.service.d/later.conf`);
    expect((await call('uninstall', 'docker')).stdout).toBe('nothing is installed for docker\n');
  });

  it.each(['install', 'uninstall'])('is left as it is by %s once it was edited', async (verb) => {
    await call('install', 'docker');
    put(DROP_IN, `${dropIn()}Environment=MINE=1\n`);
    const before = tree();
    const folder = join(home, UNITS, 'docker.service.d');
    expect(await call(verb, 'docker')).toEqual({
      code: 1,
      stdout: '',
      stderr: `sluice: ${folder}/sluice.conf is not as sluice wrote it, so nothing was changed; look at it, move it away (mv ${folder}/sluice.conf ${folder}/sluice.conf.old), and run this again\n`,
    });
    expect(tree()).toEqual(before);
  });

  it.each(['install', 'uninstall'])(
    'keeps a drop-in that only has our name at %s',
    async (verb) => {
      put(DROP_IN, '[Service]\nEnvironment=THEIRS=1\n');
      const before = tree();
      expect((await call(verb, 'docker')).stderr).toContain('is not as sluice wrote it');
      expect(tree()).toEqual(before);
    },
  );

  it('is as it was when the installation fails half-way', async () => {
    mkdirSync(join(home, UNITS, 'docker.service.d'));
    const before = tree();
    chmodSync(join(home, UNITS, 'docker.service.d'), 0o500);
    const { code, stderr } = await call('install', 'docker');
    expect(code).toBe(1);
    expect(stderr).toContain(`sluice: cannot write ${home}/${DROP_IN}: EACCES: permission denied`);
    expect(tree()).toEqual(before);
  });

  it('is not set up where it would find no rootlesskit', async () => {
    put(`${UNITS}/docker.service`, '[Service]\nEnvironment=PATH=/nowhere\n');
    const before = tree();
    expect((await call('install', 'docker')).stderr).toBe(
      `sluice: no rootlesskit on the PATH (${home}/${BIN}:/nowhere); install it (Debian, Ubuntu, Fedora: the package rootlesskit), or set SLUICE_ROOTLESSKIT to its path\n`,
    );
    expect(tree()).toEqual(before);
  });

  it('can have quotes, backslashes and percent signs in its PATH', async () => {
    put(`${UNITS}/docker.service`, `[Service]\nEnvironment='PATH=${tools}:/a"b\\\\c%%d'\n`);
    await call('install', 'docker');
    expect(tree()[DROP_IN]).toBe(dropIn(String.raw`${tools}:/a\"b\\c%%d`));
    put(`${UNITS}/docker.service.d/zz.conf`, tree()[DROP_IN] ?? '');
    expect((await call('install', 'docker')).stdout).toContain('set up for sluice already');
  });
});
