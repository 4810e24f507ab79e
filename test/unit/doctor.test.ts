/** Situations of other machines: this one's readings, with one of them changed. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Finding } from '../../src/parent/doctor/finding.js';
import {
  checkKernel,
  checkNetworkLimits,
  checkOpenFiles,
  checkPipes,
  checkSctp,
} from '../../src/parent/doctor/kernel.js';
import { type Machine, thisMachine } from '../../src/parent/doctor/machine.js';
import { installCommand } from '../../src/parent/doctor/packages.js';
import { checkRootlesskit } from '../../src/parent/doctor/rootlesskit.js';
import { checkIdMapper, checkSubordinateIds } from '../../src/parent/doctor/subordinate-ids.js';
import { checkTakeover } from '../../src/parent/doctor/takeover.js';
import { checkUserNamespaces } from '../../src/parent/doctor/user-namespaces.js';
import { temporaryFolder } from '../harness/cleanup.js';
import { perTest } from '../harness/suite.js';

const EPROTONOSUPPORT = -93;

function machine(changes: Partial<Machine>): Machine {
  return { ...thisMachine(), ...changes };
}

function sysctls(values: Readonly<Record<string, string>>): Partial<Machine> {
  const here = thisMachine();
  return { sysctl: (name) => values[name] ?? here.sysctl(name) };
}

describe('the doctor', () => {
  const cleanup = perTest();

  function executable(name: string, text: string): string {
    const file = join(temporaryFolder(cleanup), name);
    writeFileSync(file, text);
    chmodSync(file, 0o755);
    return file;
  }

  it.each([
    ['5.9.16', 'failure'],
    ['5.10.0-28-amd64', 'ok'],
    ['4.19.0', 'failure'],
    ['6.1.0-rc1', 'ok'],
  ])('finds the kernel %s to be: %s', (release, status) => {
    expect(checkKernel(machine({ release })).status).toBe(status);
  });

  it("names Debian's switch against user namespaces", async () => {
    const changes = sysctls({ 'kernel.unprivileged_userns_clone': '0' });
    expect(await checkUserNamespaces(machine(changes))).toEqual({
      check: 'user namespaces',
      status: 'failure',
      text: 'forbidden by kernel.unprivileged_userns_clone=0',
      remedy: 'sudo sysctl -w kernel.unprivileged_userns_clone=1',
    });
  });

  it("has a profile ready where Ubuntu's AppArmor forbids them", async () => {
    const program = executable('rootlesskit', '#!/bin/sh\n');
    const changes = {
      ...sysctls({ 'kernel.apparmor_restrict_unprivileged_userns': '1' }),
      env: { SLUICE_ROOTLESSKIT: program },
    };
    const { status, text, remedy } = await checkUserNamespaces(machine(changes));
    expect([status, text]).toEqual([
      'failure',
      `AppArmor forbids them to ${program} (kernel.apparmor_restrict_unprivileged_userns=1), which no profile names`,
    ]);
    expect(remedy).toBe(
      String.raw`printf 'abi <abi/4.0>,\ninclude <tunables/global>\n"${program}" flags=(unconfined) {\n  userns,\n}\n' | sudo tee /etc/apparmor.d/${program.slice(1).replaceAll('/', '.')} && sudo systemctl restart apparmor`,
    );
  });

  it.each([
    ['1.0.0', 'warning'],
    ['0.14.6', 'warning'],
    ['1.1.0', 'ok'],
    ['2.0.2', 'ok'],
    ['3.0.1', 'ok'],
  ])('finds rootlesskit %s to be: %s', async (version, status) => {
    const program = executable('rk', `#!/bin/sh\necho rootlesskit version ${version}\n`);
    const env = { SLUICE_ROOTLESSKIT: program };
    expect(await checkRootlesskit(machine({ env }))).toMatchObject({
      status,
      text: expect.stringContaining(`${version} at ${program}`) as string,
    });
  });

  it('takes a rootlesskit without a version for broken', async () => {
    const env = { SLUICE_ROOTLESSKIT: executable('rk', '#!/bin/sh\necho oops >&2; exit 1\n') };
    expect(await checkRootlesskit(machine({ env }))).toMatchObject({
      status: 'failure',
      text: expect.stringMatching(/ --version says "oops", which is no version$/) as string,
    });
  });

  it('takes file capabilities instead of set-user-ID', () => {
    const file = executable('newuidmap', '');
    const which = () => file;
    const check = (has: boolean): Finding =>
      checkIdMapper(machine({ which, hasFileCapabilities: () => has }), 'newuidmap');
    expect(check(true)).toMatchObject({
      status: 'ok',
      text: `${file}, with file capabilities`,
    });
    expect(check(false).status).toBe('failure');
    expect(checkIdMapper(machine({ which }), 'newuidmap').status).toBe('failure');
  });

  it('adds up the ranges of a user, by name and by id', async () => {
    const subuid = 'x:1:9\nwe:100000:65000\n1234:200000:536\n';
    const changes = { read: () => subuid, user: 'we', uid: 1234 };
    expect(await checkSubordinateIds(machine(changes), 'subuid')).toEqual({
      check: 'subuid',
      status: 'ok',
      text: '65536 ids for we',
    });
  });

  it('tells whether SCTP sockets can be made', () => {
    expect(checkSctp(machine({ trySocket: () => 0 })).status).toBe('ok');
    expect(checkSctp(machine({ trySocket: () => EPROTONOSUPPORT }))).toEqual({
      check: 'sctp',
      status: 'warning',
      text: "SCTP ports can't be published: EPROTONOSUPPORT",
      remedy: 'sudo modprobe sctp',
    });
  });

  it('knows limits, and the lack of one', () => {
    expect(checkOpenFiles(machine({ maxOpenFiles: () => Infinity })).text).toBe('unlimited');
    expect(checkOpenFiles(machine({ maxOpenFiles: () => 65_536 })).status).toBe('ok');
    expect(checkOpenFiles(machine({ maxOpenFiles: () => 65_535 })).status).toBe('warning');
    const pipes = (value: string) =>
      checkPipes(machine(sysctls({ 'fs.pipe-user-pages-soft': value })));
    expect([pipes('0'), pipes('16384'), pipes('16383')].map(({ status }) => status)).toEqual([
      'ok',
      'ok',
      'warning',
    ]);
  });

  it("compares the network's limits with the kernel's defaults", () => {
    const values = new Map([
      ['net.core.somaxconn', '128'],
      ['net.core.rmem_max', '212992'],
    ]);
    expect(checkNetworkLimits(machine({ sysctl: (name) => values.get(name) }))).toEqual([
      {
        check: 'somaxconn',
        status: 'warning',
        text: "net.core.somaxconn is 128, below the kernel's default of 4096: bursts of connections are refused",
        remedy: 'sudo sysctl -w net.core.somaxconn=4096',
      },
      { check: 'rmem_max', status: 'ok', text: '212992' },
    ]);
  });

  it.each([
    ['dnf', 'sudo dnf install -y shadow-utils'],
    ['apk', 'sudo apk add shadow-uidmap'],
    ['apt-get', 'sudo apt-get install -y uidmap'],
    ['no', undefined],
  ])('installs packages with %s', (manager, command) => {
    const folder = temporaryFolder(cleanup);
    writeFileSync(join(folder, manager), '');
    chmodSync(join(folder, manager), 0o755);
    expect(installCommand(machine({ systemPath: folder }), 'uidmap')).toBe(command);
  });

  it('warns where no agent can be handed over to another driver', () => {
    const fine = machine({ hasFileCapabilities: () => false, tryPidfdGetfd: () => 0 });
    expect(checkTakeover({ ...fine, sysctl: () => '1' }).status).toBe('ok');
    expect(checkTakeover({ ...fine, sysctl: () => '3' })).toMatchObject({
      status: 'warning',
      text: 'kernel.yama.ptrace_scope is 3, which lasts until the next boot: connections end when the driver is killed, and `sluice reload` refuses',
    });
    expect(
      checkTakeover({
        ...fine,
        sysctl: () => '1',
        node: '/opt/node',
        hasFileCapabilities: () => true,
      }),
    ).toMatchObject({
      status: 'failure',
      text: '/opt/node has file capabilities, with which no agent can be started',
      remedy: 'sudo setcap -r /opt/node',
    });
  });
});
