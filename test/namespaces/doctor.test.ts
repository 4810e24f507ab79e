/** The doctor in situations that are made for it: each is one that users are in. */
import { chmodSync, copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { temporaryFolder } from '../harness/cleanup.js';
import { rootlesskit } from '../harness/needs.js';
import { pathWith, which } from '../harness/paths.js';
import { run } from '../harness/processes.js';
import { commandsFolder, sluice } from '../harness/sluice.js';
import { describeWith, perTest } from '../harness/suite.js';
import { startApi } from '../unit/support/api.js';
import { diagnose, linesOf } from './doctor-support.js';

const { username } = userInfo();

describeWith([rootlesskit(1)], 'sluice doctor', () => {
  const cleanup = perTest();
  let home: string;

  beforeEach(() => {
    home = temporaryFolder(cleanup);
  });

  it('finds no fault with a machine that can publish', async () => {
    const env = { PATH: `${commandsFolder(cleanup)}:${pathWith()}` };
    const { code, stderr, lines } = await diagnose({ env });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(lines).toEqual(
      expect.arrayContaining([
        `ok user: ${username}`,
        `ok newuidmap: ${which('newuidmap')}, set-user-ID`,
        expect.stringMatching(/^ok rootlesskit: 1\.1\.\d/),
        expect.stringMatching(/^ok docker-rootlesskit: .* is sluice$/),
        expect.stringMatching(/^ok network drivers: .*slirp4netns/),
        expect.stringMatching(/^ok user namespaces: \d+ allowed$/),
      ]),
    );
  });

  it('says the same with --json', async () => {
    const env = { PATH: pathWith(), XDG_RUNTIME_DIR: undefined };
    const [plain, json] = [await diagnose({ env }), await diagnose({ env, args: ['--json'] })];
    expect(linesOf(json.stdout)).toEqual(plain.lines);
    expect([plain.code, json.code]).toEqual([1, 1]);
  });

  it('misses the programs that the PATH does not lead to', async () => {
    const { code, lines } = await diagnose({ env: { PATH: home } });
    expect(code).toBe(1);
    expect(lines).toEqual(
      expect.arrayContaining([
        'failure newuidmap: not on the PATH; run: sudo apt-get install -y uidmap',
        'failure newgidmap: not on the PATH; run: sudo apt-get install -y uidmap',
        expect.stringMatching(
          /^failure rootlesskit: no rootlesskit on the PATH .*; run: sudo apt-get install -y rootlesskit$/,
        ),
        'warning docker-rootlesskit: not on the PATH of this shell; run: sluice install docker',
        'failure network drivers: none of slirp4netns, pasta, vpnkit, lxc-user-nic is on the PATH; run: sudo apt-get install -y slirp4netns',
      ]),
    );
  });

  it('names a docker-rootlesskit and a newuidmap that are of no use', async () => {
    symlinkSync(which('rootlesskit') ?? '', join(home, 'docker-rootlesskit'));
    copyFileSync(which('newuidmap') ?? '', join(home, 'newuidmap'));
    chmodSync(join(home, 'newuidmap'), 0o755);
    const { lines } = await diagnose({ env: { PATH: `${home}:${pathWith()}` } });
    expect(lines).toContain(
      `warning docker-rootlesskit: ${home}/docker-rootlesskit comes first on the PATH of this shell, and is not sluice; run: sluice install docker`,
    );
    expect(lines).toContain(
      `failure newuidmap: ${home}/newuidmap is neither set-user-ID root nor has file capabilities; run: sudo chown root ${home}/newuidmap && sudo chmod u+s ${home}/newuidmap`,
    );
  });

  it.each([
    ['echo 0 >/proc/sys/user/max_user_namespaces', 'user.max_user_namespaces'],
    ['echo 0 >/proc/sys/user/max_net_namespaces', 'user.max_net_namespaces'],
  ])('names the setting after %s', async (before, name) => {
    const { code, lines } = await diagnose({ before });
    expect(code).toBe(1);
    expect(lines).toContain(
      `failure user namespaces: forbidden by ${name}=0; run: sudo sysctl -w ${name}=28633`,
    );
  });

  it('says why user namespaces fail that no setting forbids', async () => {
    // In a chroot nobody may make one: user_namespaces(7).
    const before = `mkdir -p ${home}/root && mount --rbind / ${home}/root
      set -- chroot ${home}/root "$@"`;
    const { lines } = await diagnose({ before });
    expect(lines).toContainEqual(
      expect.stringMatching(
        /^failure user namespaces: can't be made, although no setting forbids it: unshare: .*Operation not permitted$/,
      ),
    );
  });

  it.each([
    ['', 'failure', 'has no ids for USER'],
    ['nobody-else:100000:65536', 'failure', 'has no ids for USER'],
    [`${username}:100000:1000`, 'warning', 'has 1000 ids for USER; images expect 65536'],
  ])('finds subordinate ids lacking in %j', async (entry, status, text) => {
    writeFileSync(join(home, 'subids'), `${entry}\n`);
    const before = ['subuid', 'subgid'].map((name) => `mount --bind ${home}/subids /etc/${name}`);
    const { lines } = await diagnose({ before: before.join('\n') });
    for (const name of ['subuid', 'subgid']) {
      expect(lines).toContain(
        `${status} ${name}: /etc/${name} ${text.replace('USER', username)}; run: sudo usermod --add-${name}s 100000-165535 ${username}`,
      );
    }
  });

  it('sees that no_new_privs keeps newuidmap from working', async () => {
    const { lines } = await diagnose({ before: 'set -- setpriv --no-new-privs "$@"' });
    expect(lines).toContainEqual(
      expect.stringMatching(/^failure newuidmap: .* runs with no_new_privs; log in without it$/),
    );
  });

  it("misses the system's own tools, the tun device, and open files", async () => {
    const before = `mount -t tmpfs tmpfs /usr/sbin; mount -t tmpfs tmpfs /dev/net; ulimit -n 1000`;
    const { lines } = await diagnose({ before, env: { PATH: '/usr/bin' } });
    const install = 'run: sudo apt-get install -y';
    expect(lines).toEqual(
      expect.arrayContaining([
        "failure tun device: /dev/net/tun can't be opened: ENOENT; run: sudo modprobe tun",
        `warning firewall: neither nft nor iptables was found: containers won't see their clients' addresses; ${install} nftables`,
        `warning open files: the hard limit is 1000, which is 500 connections at most; run: echo '${username} hard nofile 1048576' | sudo tee /etc/security/limits.d/${username}-nofile.conf`,
      ]),
    );
  });

  it('tells the lowest port that can be published', async () => {
    const setting = 'net.ipv4.ip_unprivileged_port_start';
    const file = `/proc/sys/${setting.replaceAll('.', '/')}`;
    expect((await diagnose({ before: `echo 80 >${file}` })).lines).toContain(
      'ok lowest port: ports from 80 can be published',
    );
    expect((await diagnose({ before: `echo 81 >${file}` })).lines).toContain(
      `warning lowest port: only ports from 81 can be published (${setting}); run: sudo sysctl -w ${setting}=80`,
    );
  });

  it('finds fault with an XDG_RUNTIME_DIR that is not there, or not ours', async () => {
    for (const [folder, text] of [
      [undefined, 'not set: engines keep their sockets there'],
      ['/nowhere', '/nowhere is not a folder'],
      ['/usr', "/usr is user 0's"],
    ]) {
      const { code, stdout } = await diagnose({ env: { XDG_RUNTIME_DIR: folder } });
      expect(code).toBe(1);
      expect(stdout).toContain(`\nfailure  XDG_RUNTIME_DIR: ${text}; run: `);
    }
  });

  it('reads the unit of an engine, and is content once sluice is installed', async () => {
    const units = join(home, '.config/systemd/user');
    const unit = join(units, 'docker.service');
    mkdirSync(join(units, 'docker.service.d'), { recursive: true });
    writeFileSync(unit, `[Service]\nEnvironment=PATH=${pathWith()}\n`);
    const env = { HOME: home, XDG_CONFIG_HOME: undefined, XDG_DATA_HOME: undefined };
    const lines = async () => (await diagnose({ env })).lines;

    expect(await lines()).toContain(
      `warning docker: ${unit} starts with the engine's own port driver; run: sluice install docker`,
    );
    const byHand = join(units, 'docker.service.d/hand.conf');
    const variable = 'DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER';
    writeFileSync(byHand, `[Service]\nEnvironment=${variable}=sluice\n`);
    expect(await lines()).toContain(
      `failure docker: ${unit} asks for sluice, and its PATH leads to ${which('rootlesskit')}: it won't start; run: sluice install docker`,
    );
    await run(sluice('install', 'docker'), { env });
    expect(await lines()).toContain(`ok docker: ${unit} starts with sluice`);
  });

  it('is content with an engine that runs with sluice without systemd, and says what to set else', async () => {
    const runtime = temporaryFolder(cleanup);
    const bin = temporaryFolder(cleanup);
    writeFileSync(join(bin, 'dockerd-rootless.sh'), '#!/bin/sh\n', { mode: 0o755 });
    const env = {
      HOME: home,
      PATH: `${bin}:${pathWith()}`,
      XDG_RUNTIME_DIR: runtime,
      XDG_CONFIG_HOME: undefined,
      XDG_DATA_HOME: undefined,
    };
    const lines = async () => (await diagnose({ env })).lines;
    const script = join(bin, 'dockerd-rootless.sh');
    expect(await lines()).toContain(
      `warning docker: ${script} starts with the engine's own port driver; run: sluice install docker`,
    );
    await run(sluice('install', 'docker'), { env });
    const folder = join(home, '.local/share/sluice/docker/bin');
    expect(await lines()).toContain(
      `warning docker: sluice is installed, and not set where ${script} is started from here; run: export DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER=sluice PATH=${folder}:"$PATH"`,
    );
    const stateDir = join(runtime, 'dockerd-rootless');
    mkdirSync(stateDir);
    await startApi(cleanup, {}, stateDir);
    expect(await lines()).toContain('ok docker: runs with sluice');
  });
});
