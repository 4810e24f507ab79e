import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../harness/cleanup.js';
import { userNamespaces } from '../harness/needs.js';
import { which } from '../harness/paths.js';
import { freePort } from '../harness/ports.js';
import { start } from '../harness/processes.js';
import { SLUICE, sluice } from '../harness/sluice.js';
import { describeWith, perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { programs } from './dnat-support.js';
import { answerThrough, DEADLINE_MS } from './launcher-support.js';
import { driverOf, isRunning } from './survive-support.js';

describeWith([userNamespaces], 'sluice run', () => {
  const cleanup = perTest();

  it('publishes ports of a command in namespaces of its own, loopback included', async () => {
    const port = await freePort();
    const www = temporaryFolder(cleanup);
    writeFileSync(join(www, 'index.html'), 'hello\n');
    const script = `busybox wget -qO- http://127.0.0.1:80/ 2>&1; echo uid $(id -u)
      exec busybox httpd -f -p 80 -h ${www}`;
    const spec = `127.0.0.1:${port}:80/tcp`;
    const program = await start(cleanup, sluice('run', '-p', spec, '--', 'sh', '-c', script));
    expect(await answerThrough(program, port)).toEqual({ status: 200, body: 'hello\n' });
    // Loopback is up: the connection is refused, the network not unreachable.
    expect(program.stdout).toContain('Connection refused');
    expect(program.stdout).toContain('uid 0');
    await program.end();
  });

  it('has a state directory with the API for as long as the command runs', async () => {
    const runtime = temporaryFolder(cleanup);
    const script = 'stat -c %a $ROOTLESSKIT_STATE_DIR; ls $ROOTLESSKIT_STATE_DIR; exit 3';
    const program = await start(cleanup, sluice('run', '--', 'sh', '-c', script), {
      env: { XDG_RUNTIME_DIR: runtime },
    });
    expect(await program.exited(DEADLINE_MS)).toEqual({ code: 3, signal: null });
    expect(program.stdout).toBe('700\napi.sock\nsluice.json\nsluice.lock\n');
    expect(readdirSync(runtime)).toEqual([]);
  });

  it('removes a state directory that it made, and none that was there', async () => {
    const folder = temporaryFolder(cleanup);
    for (const stateDir of [folder, join(folder, 'a/b')]) {
      const command = sluice('run', '--state-dir', stateDir, '--', 'true');
      const program = await start(cleanup, command);
      expect(await program.exited(DEADLINE_MS)).toEqual({ code: 0, signal: null });
      expect(readdirSync(folder)).toEqual([]);
    }
  });

  it('ends with 128 and the number of the signal that ended the command', async () => {
    const command = sluice('run', '--', 'sh', '-c', 'echo ready; exec sleep 60');
    const program = await start(cleanup, command);
    await program.line(/ready/, DEADLINE_MS);
    program.signal('SIGTERM');
    expect(await program.exited(DEADLINE_MS)).toEqual({ code: 143, signal: null });
  });

  it('gives the command its standard input', async () => {
    const program = await start(cleanup, sluice('run', '--', 'cat'), { input: 'text' });
    expect(await program.exited(DEADLINE_MS)).toEqual({ code: 0, signal: null });
    expect(program.stdout).toBe('text');
  });

  it('does not start the command when a port can not be opened', async () => {
    const port = await freePort();
    const spec = `127.0.0.1:${port}:80/tcp`;
    const program = await start(cleanup, sluice('run', '-p', spec, '-p', spec, '--', 'echo', 'x'));
    expect(await program.exited(DEADLINE_MS)).toEqual({ code: 1, signal: null });
    expect(program.stdout).toBe('');
    expect(program.stderr).toContain('sluice: ');
  });

  it('logs nothing on a healthy day, and its ports where asked to', async () => {
    const port = await freePort();
    const args = ['-p', `127.0.0.1:${port}:80/tcp`, '--', 'true'];
    const quiet = await start(cleanup, sluice('run', ...args));
    expect(await quiet.exited(DEADLINE_MS)).toEqual({ code: 0, signal: null });
    expect(quiet.stderr).toBe('');
    const talkative = sluice('run', '--log-level', 'info', '--log-format', 'json', ...args);
    const program = await start(cleanup, talkative);
    expect(await program.exited(DEADLINE_MS)).toEqual({ code: 0, signal: null });
    expect(JSON.parse(program.stderr)).toMatchObject({ event: 'portAdded', port: 1 });
  });

  it('refuses a log level that does not exist before it starts anything', async () => {
    const program = await start(cleanup, sluice('run', '--log-level', 'loud', '--', 'echo', 'x'));
    expect(await program.exited(DEADLINE_MS)).toEqual({ code: 1, signal: null });
    expect(program.stdout).toBe('');
    expect(program.stderr).toBe(
      'sluice: --log-level is "loud", expected error, warn, info, debug\n',
    );
  });

  it('says what forbids user namespaces', async () => {
    // A user namespace may forbid those below it.
    const forbid = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"';
    const command = ['unshare', '-r', 'sh', '-c', forbid, 'sh', ...sluice('run', '--', 'true')];
    const program = await start(cleanup, command);
    expect(await program.exited(DEADLINE_MS)).toEqual({ code: 1, signal: null });
    expect(program.stderr).toContain(
      'sluice: unshare could not make a user and network namespace; user.max_user_namespaces is 0: sudo sysctl -w user.max_user_namespaces=28633',
    );
  });

  it('says nothing when it ends while a spare agent enters its namespaces', async () => {
    const script = `sleep 0.3; exec ${which('nsenter')} "$@"`;
    const env = { PATH: programs(cleanup, { nsenter: { script } }).path };
    // The spare one is started a second after the serving one.
    const program = await start(cleanup, sluice('run', '--', 'sleep', '1.15'), { env });
    const { code } = await program.exited(DEADLINE_MS);
    expect({ code, stderr: program.stderr }).toEqual({ code: 0, stderr: '' });
  });

  it('leaves no driver behind when it is killed before there are namespaces', async () => {
    const started = join(temporaryFolder(cleanup), 'pid');
    const script = `echo $$ >${started}; exec sleep 60`;
    const env = { PATH: programs(cleanup, { unshare: { script } }).path };
    const program = await start(cleanup, sluice('run', '--', 'true'), { env });
    const driver = await program.until(() => driverOf(program.pid), DEADLINE_MS, 'a driver');
    const pid = () => Number(readFileSync(started, 'utf8'));
    const unshare = await program.until(pid, DEADLINE_MS, 'unshare');
    cleanup.defer(() => process.kill(unshare, 'SIGKILL'));
    program.signal('SIGKILL');
    expect(await until(() => !isRunning(driver), DEADLINE_MS, 'its end')).toBe(true);
  });

  it('says what to install where there is no unshare', async () => {
    const env = { PATH: '/nonexistent' };
    const program = await start(cleanup, [process.execPath, SLUICE, 'run', '--', 'true'], { env });
    expect(await program.exited(DEADLINE_MS)).toEqual({ code: 1, signal: null });
    expect(program.stderr).toContain('no "unshare" on the PATH (/nonexistent); install util-linux');
    expect(existsSync('/nonexistent')).toBe(false);
  });
});
