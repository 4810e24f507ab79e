/**
 * A client that a firewall keeps out of a container is served by no other way, and nobody else
 * notices; a client whose address can't be kept is seen to be one.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Info } from '../../src/parent/api/info.js';
import { type Docker, sluiceOptions, startDocker } from '../harness/docker.js';
import { makeHostWithSubids } from '../harness/host-with-subids.js';
import { ask } from '../harness/http.js';
import { HOST_ADDRESS, type Namespace, enter, makeClient, runIn } from '../harness/namespaces.js';
import { docker as needsDocker, tool } from '../harness/needs.js';
import { type Program, run, start } from '../harness/processes.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { WHO_PATH } from '../harness/who.js';
import { nodeInContainer } from './docker-support.js';

const DEADLINE_MS = 20_000;
/** In a namespace of the test's own every port is free. */
const PORT = 8080;
const BANNED = '198.51.100.2';
const OTHER = '198.51.100.3';
const GATEWAY = '172.17.0.1';
/** Longer than any of the driver's own time limits. */
const PATIENCE_S = 7;
/** curl's exit code. */
const TIMED_OUT = 28;
const ADDRESS = '{{.NetworkSettings.Networks.bridge.IPAddress}}';
// The machine's own lock file is root's.
const XTABLES = ['env', 'XTABLES_LOCKFILE=/proc/self/comm'];

/** Answers every datagram with the address that it came from. */
const UDP_SERVER = `
  const socket = require('node:dgram').createSocket('udp4');
  socket.on('message', (_, { port, address }) => socket.send(address, port, address));
  socket.bind(53);`;

/** Asks once a second from an address, and prints each answer. */
const UDP_CLIENT = `
  const [host, port, address] = process.argv.slice(1);
  const udp = require('node:dgram').createSocket('udp4').on('error', () => {});
  udp.on('message', (text) => console.log('seen as ' + text));
  udp.bind(0, address, () =>
    udp.connect(Number(port), host, () => {
      udp.send('?');
      setInterval(() => udp.send('?', () => {}), 1000);
    }));`;

const NEEDS = [needsDocker, ...['curl', 'iptables', 'ip'].map(tool)];

describeWith(NEEDS, 'a client and a firewall', () => {
  const suite = perSuite();
  const test = perTest();
  let docker: Docker;
  let client: Namespace;
  let child: number;

  beforeAll(async () => {
    const host = await makeHostWithSubids(suite);
    client = await makeClient(suite, host);
    await runIn(client, ['ip', 'addr', 'add', `${OTHER}/24`, 'dev', 'host0']);
    docker = await startDocker(suite, { ...sluiceOptions(suite), host });
    child = Number(readFileSync(join(docker.stateDir, 'child_pid'), 'utf8'));
  });

  afterEach(() => docker.removeContainers());

  /** Starts the web server, or another one; returns a process of its. */
  async function serve(...options: readonly string[]): Promise<{ id: string; pid: number }> {
    const id = await docker.docker('run', '--detach', ...options);
    return { id, pid: Number(await docker.docker('inspect', '--format', '{{.State.Pid}}', id)) };
  }

  const web = (...options: readonly string[]) => serve(...options, '-p', `${PORT}:80`, 'web');

  function inNamespace(...command: readonly string[]): Promise<string> {
    return run([
      'nsenter',
      '--user',
      '--net',
      '--preserve-credentials',
      `--target=${child}`,
      ...command,
    ]);
  }

  function inContainer(pid: number, ...command: readonly string[]): Promise<string> {
    const net = `--net=/proc/${pid}/ns/net`;
    return run([
      'nsenter',
      '--user',
      '--preserve-credentials',
      `--target=${child}`,
      net,
      ...command,
    ]);
  }

  /** As whom the server sees that client; or curl's exit code. */
  async function seen(address: string, seconds = 10, port = PORT): Promise<string | number> {
    const url = `http://${HOST_ADDRESS.v4}:${port}${WHO_PATH}`;
    const limit = ['--silent', '--fail', '--max-time', String(seconds)];
    const command = ['curl', ...limit, '--interface', address, url];
    const program = await start(test, enter(client, ...command));
    const { code } = await program.exited(DEADLINE_MS);
    if (code !== 0) return code ?? 0;
    return /(?:\d+\.){3}\d+/.exec(program.stdout)?.[0] ?? program.stdout;
  }

  /** A UDP client that asks until it is told that. */
  async function asking(address: string, expected: string): Promise<string> {
    const program = await udpClient(address);
    const [line = ''] = await program.line(new RegExp(`^seen as ${expected}$`, 'm'), DEADLINE_MS);
    return line;
  }

  function udpClient(address: string): Promise<Program> {
    const options = [HOST_ADDRESS.v4, '8053', address];
    return start(test, enter(client, process.execPath, '--eval', UDP_CLIENT, '--', ...options));
  }

  /** Until the server listens. */
  async function serving(): Promise<void> {
    await until(async () => (await seen(OTHER)) === OTHER, DEADLINE_MS, 'an answer');
  }

  async function sourceIP() {
    const socketPath = join(docker.stateDir, 'api.sock');
    const { body } = await ask({ socketPath, path: '/v1/info' });
    return (JSON.parse(body) as Info).portDriver?.sourceIP;
  }

  async function without(): Promise<Readonly<Record<string, number>>> {
    return (await sourceIP())?.flows.without ?? {};
  }

  describe.each([
    ['DROP'],
    ['REJECT'],
    ['REJECT --reject-with tcp-reset'],
    ['REJECT --reject-with icmp-host-unreachable'],
    ['REJECT --reject-with icmp-admin-prohibited'],
  ])('that says %s', (target) => {
    const isSilent = target === 'DROP';
    const rule = (...chain: readonly string[]) => [
      ...XTABLES,
      'iptables',
      ...chain,
      '-p',
      'tcp',
      '-s',
      BANNED,
      '-j',
      ...target.split(' '),
    ];

    /** Whether it gets nowhere, silently or not, and nobody is seen under another address. */
    async function isKeptOut(): Promise<boolean> {
      const before = JSON.stringify(await without());
      const code = await seen(BANNED, PATIENCE_S);
      const isOut = isSilent ? code === TIMED_OUT : typeof code === 'number';
      return isOut && (await seen(OTHER)) === OTHER && JSON.stringify(await without()) === before;
    }

    it('keeps out its client where the rule is in the container', async () => {
      const { pid } = await web();
      await serving();
      expect(await seen(BANNED)).toBe(BANNED);
      await inContainer(pid, ...rule('-I', 'INPUT'));
      expect(await isKeptOut()).toBe(true);
    });

    it('keeps out its client where the rule is in the namespace', async () => {
      const { id } = await web();
      await serving();
      const ip = await docker.docker('inspect', '--format', ADDRESS, id);
      await inNamespace(...rule('-I', 'OUTPUT', '-d', ip));
      test.defer(() => inNamespace(...rule('-D', 'OUTPUT', '-d', ip)));
      expect(await isKeptOut()).toBe(true);
    });
  });

  it('that lets one client in is not opened, nor closed for that one, by a stranger', async () => {
    const { pid } = await web();
    await serving();
    const accept = ['-A', 'INPUT', '-s', OTHER, '-j', 'ACCEPT'];
    await inContainer(pid, ...XTABLES, 'iptables', ...accept);
    await inContainer(pid, ...XTABLES, 'iptables', '-P', 'INPUT', 'DROP');
    for (let round = 0; round < 2; round++) {
      expect(await seen(BANNED, 4)).toBe(TIMED_OUT);
      expect(await seen(OTHER)).toBe(OTHER);
    }
  });

  it('that lets in the engine’s own networks only is not got around under their address', async () => {
    const { pid } = await web();
    await serving();
    const accept = ['-A', 'INPUT', '-s', '172.16.0.0/12', '-j', 'ACCEPT'];
    await inContainer(pid, ...XTABLES, 'iptables', ...accept);
    await inContainer(pid, ...XTABLES, 'iptables', '-P', 'INPUT', 'DROP');
    expect(await seen(BANNED, PATIENCE_S)).toBe(TIMED_OUT);
  });

  it('meet a container whose routes lead elsewhere: the client is served, counted and told', async () => {
    const { pid } = await web();
    await serving();
    const before = await without();
    await inContainer(pid, 'ip', 'route', 'del', 'default');
    expect(await seen(BANNED)).toBe(GATEWAY);
    // Known from now on: not asked about again for each connection.
    expect(await seen(OTHER, 1)).toBe(GATEWAY);
    expect(await without()).toMatchObject({ unreturned: (before['unreturned'] ?? 0) + 2 });
    expect(docker.program.stderr).toMatch(/event=sourceLost .*loss=unreturned .*no default route/);

    await inContainer(pid, 'ip', 'route', 'add', 'default', 'via', GATEWAY);
    const isKept = async () => (await seen(BANNED)) === BANNED;
    await until(isKept, DEADLINE_MS, 'a client that is seen again');
  });

  it('meet a network of the engine that holds the client’s address: it is kept', async () => {
    await docker.docker('network', 'create', '--subnet=198.51.100.0/28', 'near');
    test.defer(() => docker.docker('network', 'rm', 'near'));
    await web();
    await serving();
    expect(await seen(BANNED)).toBe(BANNED);
    const near = ['run', '--detach', '--network=near'];
    const [free, same] = [await docker.docker(...near, '--ip=198.51.100.9', 'web'), BANNED];
    test.defer(() => docker.docker('rm', '--force', free));
    expect(await seen(BANNED)).toBe(BANNED);

    // Docker drops what other networks send to this container's address: replies to the client, too.
    const twin = await docker.docker(...near, `--ip=${same}`, 'web');
    test.defer(() => docker.docker('rm', '--force', twin));
    expect(await seen(BANNED)).toBe(GATEWAY);
    expect(await seen(OTHER)).toBe(OTHER);
    expect(docker.program.stderr).toMatch(/event=sourceLost .*loss=unreturned .*198\.51\.100\.2/);
  });

  describe('of a UDP server', () => {
    let pid: number;

    beforeEach(async () => {
      ({ pid } = await serve('-p', '8053:53/udp', ...nodeInContainer(UDP_SERVER)));
    });

    it('drops a client: that one is never answered, another one is', async () => {
      await asking(OTHER, OTHER);
      const drop = ['-I', 'INPUT', '-s', BANNED, '-j', 'DROP'];
      await inContainer(pid, ...XTABLES, 'iptables', ...drop);
      const banned = await udpClient(BANNED);
      for (let round = 0; round < 3; round++) await asking(OTHER, OTHER);
      await new Promise((done) => setTimeout(done, 5000));
      expect(banned.stdout).toBe('');
    });

    it.each([
      ['no default route', ['ip', 'route', 'del', 'default']],
      [
        'a firewall that lets no reply to strangers out',
        [...XTABLES, 'iptables', '-A', 'OUTPUT', '!', '-d', '172.17.0.0/16', '-j', 'DROP'],
      ],
    ])('has %s: the client is served under another address', async (_, command) => {
      await inContainer(pid, ...command);
      expect(await asking(BANNED, GATEWAY)).toBe(`seen as ${GATEWAY}`);
    });
  });
});
