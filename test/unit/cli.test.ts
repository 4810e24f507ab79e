import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { VERSION } from '../../src/parent/api/version.js';
import { temporaryFolder } from '../harness/cleanup.js';
import { sluice } from '../harness/sluice.js';
import { perTest } from '../harness/suite.js';
import { plainInfo, startApi } from './support/api.js';
import { type Output, outputOf } from './support/cli.js';

const cleanup = perTest();
// Each test starts several processes.
vi.setConfig({ testTimeout: 60_000 });
const OUTSIDE = { env: { ROOTLESSKIT_STATE_DIR: undefined, SLUICE_DEBUG: undefined } };

function call(...args: readonly string[]): Promise<Output> {
  return outputOf(sluice(...args), OUTSIDE);
}

function refused(message: string): Output {
  return { code: 1, stdout: '', stderr: `sluice: ${message}\n` };
}

describe('ports on the command line', () => {
  test('are added, listed and removed', async () => {
    const { socketPath, manager } = await startApi(cleanup);
    const api = (...args: readonly string[]) => call(...args, '--socket', socketPath);

    expect(
      await api('add-ports', '127.0.0.1:8080:80/tcp', '[::1]:8081:10.0.2.100:80/tcp6'),
    ).toEqual({ code: 0, stdout: '1\n2\n', stderr: '' });
    expect(await api('add-ports', '--json', '8082:80/tcp')).toEqual({
      code: 0,
      stdout: '{"id":3,"spec":{"proto":"tcp","parentPort":8082,"childPort":80}}\n',
      stderr: '',
    });
    expect((await api('list-ports')).stdout).toBe(
      [
        'ID    PROTO    PARENTIP     PARENTPORT    CHILDIP       CHILDPORT    ',
        '1     tcp      127.0.0.1    8080                        80           ',
        '2     tcp6     ::1          8081          10.0.2.100    80           ',
        '3     tcp                   8082                        80           ',
        '',
      ].join('\n'),
    );
    expect((await api('list-ports', '--json')).stdout).toBe(
      [...manager.ports.values()].map((status) => `${JSON.stringify(status)}\n`).join(''),
    );
    expect(await api('remove-ports', '3', '1')).toEqual({ code: 0, stdout: '3\n1\n', stderr: '' });
    expect([...manager.ports.keys()]).toEqual([2]);
  });

  test('are none of them added when one spec is malformed', async () => {
    const { socketPath, manager } = await startApi(cleanup);
    const output = await call('add-ports', '--socket', socketPath, '1:1/tcp', 'x:2:2/tcp');
    expect(output).toEqual(
      refused('bad port spec "x:2:2/tcp": invalid parentIP: "x", expected an IPv4 or IPv6 address'),
    );
    expect(manager.ports.size).toBe(0);
  });

  test('are added up to the first that is refused', async () => {
    const { socketPath, manager } = await startApi(cleanup);
    const specs = ['1:1/tcp', '1:2/tcp', '3:3/tcp'];
    const output = await call('add-ports', '--socket', socketPath, ...specs);
    expect(output).toEqual({ ...refused('conflict with ID 1'), stdout: '1\n' });
    expect(manager.ports.size).toBe(1);
  });

  test('are none of them removed when one id is malformed', async () => {
    const { socketPath, manager } = await startApi(cleanup);
    await call('add-ports', '--socket', socketPath, '1:1/tcp');
    const output = await call('remove-ports', '--socket', socketPath, '1', 'two');
    expect(output).toEqual(refused('bad id "two", expected an integer'));
    expect(manager.ports.size).toBe(1);
  });
});

describe('info', () => {
  test('is shown line by line', async () => {
    const { socketPath, stateDir } = await startApi(cleanup);
    expect((await call('info', '--socket', socketPath)).stdout).toBe(
      [
        '- REST API version: 1.1.1',
        `- Implementation version: ${VERSION}`,
        `- State Directory: ${stateDir}`,
        '- Child PID: 4711',
        '- Network Driver: none',
        '  - DNS: []',
        '- Port Driver: sluice',
        '  - Supported protocols: [tcp]',
        '',
      ].join('\n'),
    );
  });

  test('tells what becomes of client addresses', async () => {
    const portDriver = {
      driver: 'sluice',
      protos: ['tcp4'],
      sourceIP: {
        protos: {
          tcp4: { kept: true },
          udp4: { kept: true, except: 'local servers see the agent' },
          tcp6: { kept: false, reason: 'no ip; install iproute2' },
        },
        flows: { kept: 7, without: { disabled: 0, loopback: 2, family: 1 } },
      },
    };
    const info = async () => ({ ...plainInfo('/run/x'), portDriver });
    const { socketPath } = await startApi(cleanup, { info });
    const { stdout } = await call('info', '--socket', socketPath);
    expect(stdout.slice(stdout.indexOf('  - Client'))).toBe(
      [
        '  - Client addresses:',
        '    - tcp4: kept',
        '    - udp4: kept, but local servers see the agent',
        '    - tcp6: not kept: no ip; install iproute2',
        '    - flows: 7 kept, without: 2 loopback, 1 family',
        '',
      ].join('\n'),
    );
  });

  test('is printed as JSON, indented by four', async () => {
    const { socketPath } = await startApi(cleanup);
    const { stdout } = await call('info', '--json', '--socket', socketPath);
    expect(stdout).toBe(`${JSON.stringify(JSON.parse(stdout), null, 4)}\n`);
    expect(JSON.parse(stdout)).toMatchObject({ childPID: 4711 });
  });
});

describe('the API that is meant', () => {
  test('is that of ROOTLESSKIT_STATE_DIR, unless --socket is given', async () => {
    const { stateDir } = await startApi(cleanup);
    const env = { ROOTLESSKIT_STATE_DIR: stateDir };
    expect(await outputOf(sluice('list-ports', '--json'), { env })).toEqual({
      code: 0,
      stdout: '',
      stderr: '',
    });
    const missing = join(temporaryFolder(cleanup), 'api.sock');
    expect(await outputOf(sluice('list-ports', '--socket', missing), { env })).toEqual(
      refused(`no API socket at ${missing}; is rootlesskit running with that state directory?`),
    );
  });

  test('may be given before the command, as with rootlessctl', async () => {
    const { socketPath } = await startApi(cleanup);
    expect((await call('--socket', socketPath, 'info')).code).toBe(0);
  });

  test('is the only one that answers in the usual state directories of this user', async () => {
    const runtime = temporaryFolder(cleanup);
    const home = temporaryFolder(cleanup);
    const env = { ...OUTSIDE.env, XDG_RUNTIME_DIR: runtime, HOME: home };
    const listed = () => outputOf(sluice('list-ports', '--json'), { env });
    const serve = async (stateDir: string) => {
      mkdirSync(stateDir, { recursive: true });
      const { api, manager } = await startApi(cleanup, {}, stateDir);
      await manager.addPort({ proto: 'tcp', parentPort: 1, childPort: 2 });
      return api;
    };
    expect(await listed()).toEqual(
      refused(
        'which API? Give --socket PATH, or set ROOTLESSKIT_STATE_DIR to the state directory that api.sock is in',
      ),
    );
    const docker = join(runtime, 'dockerd-rootless');
    const k3s = join(home, '.rancher/k3s/rootless');
    // What a driver that was killed has left behind.
    mkdirSync(join(runtime, 'containerd-rootless'));
    writeFileSync(join(runtime, 'containerd-rootless/api.sock'), '');
    const api = await serve(docker);
    expect(await listed()).toMatchObject({ code: 0, stderr: '' });
    await serve(k3s);
    expect(await listed()).toEqual(
      refused(
        `which API? There are ${docker}/api.sock and ${k3s}/api.sock; give one of them with --socket`,
      ),
    );
    await api.close();
    expect(await listed()).toMatchObject({ code: 0, stderr: '' });
  });
});

describe('an API that is away', () => {
  test.each([
    ['add-ports', '--json', '1:1/tcp'],
    ['list-ports', '--json'],
    ['remove-ports', '1'],
    ['info', '--json'],
    ['reload'],
    ['portmapper'],
  ])('is one line on stderr, and exit code 1: %s', async (...args) => {
    const missing = join(temporaryFolder(cleanup), 'api.sock');
    expect(await call(...args, '--socket', missing)).toEqual(
      refused(`no API socket at ${missing}; is rootlesskit running with that state directory?`),
    );
  });
});

describe('a wrong command line', () => {
  test.each([
    [['unheard'], "unknown command 'unheard'"],
    [['list-port'], "unknown command 'list-port' (Did you mean list-ports?)"],
    [['--nope'], "unknown option '--nope'"],
    [['list-ports', '--nope'], "unknown option '--nope'"],
    [['add-ports'], "missing required argument 'spec'"],
    [['remove-ports'], "missing required argument 'id'"],
    [
      ['list-ports', 'extra'],
      "too many arguments for 'list-ports'. Expected 0 arguments but got 1.",
    ],
    [['attach'], "required option '--state-dir <dir>' not specified"],
    [['install'], "missing required argument 'engine'"],
    [
      ['uninstall', 'podman'],
      "command-argument value 'podman' is invalid for argument 'engine'. Allowed choices are docker, containerd.",
    ],
    [['run', '-p', '8080:80/tcp'], "missing required argument 'command'"],
  ])('%j is refused in one line', async (args, message) => {
    expect(await call(...args)).toEqual(refused(message));
  });

  test('of run is refused for a bad spec', async () => {
    expect(await call('run', '-p', '8080:80', '--', 'true')).toEqual(
      refused(
        'bad port spec "8080:80": missing proto, expected [parentIP:]parentPort:[childIP:]childPort/proto, IPv6 addresses in brackets, for example 127.0.0.1:8080:80/tcp',
      ),
    );
  });
});

describe('help', () => {
  test.each([
    'run',
    'attach',
    'rootlesskit',
    'add-ports',
    'list-ports',
    'remove-ports',
    'info',
    'doctor',
    'install',
    'uninstall',
    'portmapper',
    'probe',
    'completion',
  ])('of %s shows an example', async (name) => {
    const { code, stdout } = await call(name, '--help');
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^Example:\n {2}sluice ${name}\\b`, 'm'));
  });

  test('is what no arguments show', async () => {
    expect(await call()).toEqual(await call('--help'));
    expect((await call()).code).toBe(0);
  });

  test('has the version', async () => {
    expect(await call('--version')).toEqual({ code: 0, stdout: `${VERSION}\n`, stderr: '' });
  });
});

test('SLUICE_DEBUG=1 adds the stack and the cause to an error', async () => {
  const missing = join(temporaryFolder(cleanup), 'api.sock');
  const { code, stderr } = await outputOf(sluice('info', '--socket', missing), {
    env: { SLUICE_DEBUG: '1' },
  });
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^sluice: no API socket at .*\n {4}at .*\[cause\]: Error: connect ENOENT/s,
  );
});
