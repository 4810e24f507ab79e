/** Which server a port without a rule leads to, and whether that sees its client. */
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import type { Info } from '../../src/parent/api/info.js';
import { temporaryFolder } from '../harness/cleanup.js';
import { ask } from '../harness/http.js';
import {
  CLIENT_ADDRESS,
  HOST_ADDRESS,
  type Namespace,
  enter,
  makeClient,
  makeHost,
  runIn,
} from '../harness/namespaces.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { type Program, run, start } from '../harness/processes.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { type Who, askWho } from '../harness/who.js';

const DEADLINE_MS = 20_000;
/** In a namespace of the test's own every port is free. */
const [PORT, OTHER_PORT] = [8080, 8081];
/** Of the agent's own IPv4 address. */
const AGENT4 = /^127\.0\.0\.1 \d+$/;
const NETWORKS = { v4: '198.51.100.9/24', v6: 'fd00:1::9/64' };
const ROUTERS = { v4: '198.51.100.254', v6: 'fd00:1::fe' };

const FAMILIES = ['v4', 'v6'] as const;
type Family = (typeof FAMILIES)[number];

/** Tells every client its address, in the form of askWho. */
const SERVER = `
  const { createServer } = require('node:http');
  const hosts = process.argv.slice(1);
  let missing = hosts.length;
  const answer = ({ socket }, response) =>
    response.end('web ' + socket.remoteAddress + ' ' + socket.remotePort + '\\n');
  for (const host of hosts) createServer(answer)
    .listen({ host, port: 80, ipv6Only: host !== '::' }, () => --missing || console.log('serving'));`;

/** Shell code that makes a device that is up, in the networks of the client. */
function device(name: string): string[] {
  return [
    `ip link add ${name} type bridge`,
    // A bridge is up once one of its ports is.
    'ip link add port0 type veth peer name port1',
    `ip link set port0 master ${name} up`,
    'ip link set port1 up',
    `ip link set ${name} up`,
    `ip addr add ${NETWORKS.v4} dev ${name}`,
    `ip addr add ${NETWORKS.v6} dev ${name} nodad`,
  ];
}

/** As the other one, with a backlog of one that it takes nothing from before it is told to. */
const BUSY_SERVER = `
  const { createServer } = require('node:http');
  createServer(({ socket }, response) => response.end('web ' + socket.remoteAddress + ' ' + socket.remotePort + '\\n'))
    .listen({ host: '127.0.0.1', port: 80, backlog: 1 }, () => {
      console.log('serving');
      setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 8000));
    });`;

const NEEDS = [userNamespaces, ...['curl', 'ip', 'iptables'].map(tool)];

describeWith(NEEDS, 'a port without a rule', () => {
  const test = perTest();
  let host: Namespace;
  let client: Namespace;
  let stateDir: string;

  beforeEach(async () => {
    host = await makeHost(test);
    client = await makeClient(test, host);
    stateDir = join(temporaryFolder(test), 'state');
  });

  /** A web server at each address, after `setUp`, and both ports published. */
  async function serveOn(
    addresses: readonly string[],
    setUp: readonly string[] = [],
    more: readonly string[] = [],
    script = SERVER,
  ): Promise<Program> {
    const server = [process.execPath, '--eval', script, '--', ...addresses];
    const command = ['sh', '-e', '-c', [...setUp, 'exec "$@"'].join('\n'), 'sh', ...server];
    const publish = [PORT, OTHER_PORT].flatMap((port) => ['-p', `${port}:80/tcp`]);
    const options = ['--state-dir', stateDir, ...publish, ...more];
    const program = await start(test, enter(host, ...sluice('run', ...options, '--', ...command)));
    await program.line(/^serving$/m, DEADLINE_MS);
    return program;
  }

  function answer(family: Family, port = PORT): Promise<Who> {
    const asked = () => askWho(client, HOST_ADDRESS[family], port);
    return until(asked, DEADLINE_MS, `an answer on port ${port} over IP${family}`);
  }

  async function info(): Promise<Info> {
    const { body } = await ask({ socketPath: join(stateDir, 'api.sock'), path: '/v1/info' });
    return JSON.parse(body) as Info;
  }

  async function flows() {
    return (await info()).portDriver?.sourceIP?.flows;
  }

  async function expectKept(family: Family, port = PORT): Promise<void> {
    const { real, seen } = await answer(family, port);
    expect(real).toMatch(new RegExp(`^${CLIENT_ADDRESS[family]} \\d+$`));
    expect(seen).toBe(real);
  }

  it.each(FAMILIES)(
    'keeps the address of its IP%s client to a dual-stack server',
    async (family) => {
      await serveOn(['::']);
      await expectKept(family);
      expect((await flows())?.without).toMatchObject({ family: 0 });
    },
  );

  it('leads each client to the loopback address of its family, where somebody listens', async () => {
    await serveOn(['127.0.0.1', '::1']);
    await expectKept('v6');
    await expectKept('v4');
    expect(await flows()).toMatchObject({ kept: 2, without: { family: 0 } });
  });

  it('leads an IPv6 client to 127.0.0.1 where nobody listens on ::1', async () => {
    await serveOn(['127.0.0.1']);
    expect((await answer('v6')).seen).toMatch(AGENT4);
    expect(await flows()).toMatchObject({ kept: 0, without: { family: 1 } });
  });

  it('leads to ::1 where nobody listens on 127.0.0.1', async () => {
    await serveOn(['::1']);
    await expectKept('v6');
    expect((await answer('v4')).seen).toMatch(/^::1 \d+$/);
    expect(await flows()).toMatchObject({ kept: 1, without: { family: 1 } });
  });

  it.each(FAMILIES)(
    'keeps an IP%s address that lies in a network inside, in which the server is not',
    async (family) => {
      await serveOn(['127.0.0.1', '::1'], device('br0'));
      await expectKept(family, family === 'v6' ? await onlyIPv6() : PORT);
      expect(await flows()).toMatchObject({ kept: 1, without: { overlap: 0 } });
    },
  );

  it.each(FAMILIES)('keeps an IP%s address behind the default route', async (family) => {
    const routes = FAMILIES.map(
      (name) => `ip ${name === 'v6' ? '-6' : '-4'} route add default via ${ROUTERS[name]} dev up0`,
    );
    await serveOn(['127.0.0.1', '::1'], [...device('up0'), ...routes]);
    await expectKept(family, family === 'v6' ? await onlyIPv6() : PORT);
    expect(await flows()).toMatchObject({ kept: 1, without: { overlap: 0 } });
  });

  /** Publishes a port that leads to ::1 alone. */
  async function onlyIPv6(): Promise<number> {
    const port = OTHER_PORT + 1;
    const spec = `[::]:${port}:[::1]:80/tcp6`;
    await runIn(host, sluice('add-ports', '--socket', join(stateDir, 'api.sock'), spec));
    return port;
  }

  /** In the child's namespaces, of which there is no mount namespace. */
  async function inside(...command: readonly string[]): Promise<string> {
    const target = `--target=${(await info()).childPID}`;
    return run(['nsenter', '--user', '--net', '--preserve-credentials', target, ...command]);
  }

  it.each([
    [['::'], 'DROP'],
    [['::'], 'REJECT'],
    [['127.0.0.1', '::1'], 'REJECT --reject-with tcp-reset'],
  ])(
    'to a server on %j stays closed to a client that a firewall says %s to',
    async (on, target) => {
      await serveOn(on);
      await expectKept('v4');
      const rule = ['OUTPUT', '-s', CLIENT_ADDRESS.v4, '-p', 'tcp', '-j', ...target.split(' ')];
      // The machine's own lock file is root's.
      await inside('env', 'XTABLES_LOCKFILE=/proc/self/comm', 'iptables', '-I', ...rule);
      const before = await flows();
      await expect(askWho(client, HOST_ADDRESS.v4, PORT)).rejects.toThrow('curl: ');
      expect((await flows())?.without).toEqual(before?.without);
    },
  );

  it('that requires client addresses refuses what can’t have them, and says so', async () => {
    const program = await serveOn(['127.0.0.1'], [], ['--source-ip=require']);
    await expectKept('v4');
    await expect(askWho(client, HOST_ADDRESS.v6, PORT)).rejects.toThrow('curl: ');
    await expect(askWho(host, '127.0.0.1', PORT)).rejects.toThrow('curl: ');
    const sourceIP = (await info()).portDriver?.sourceIP;
    expect(sourceIP).toMatchObject({ policy: 'require', flows: { kept: 1, refused: 2 } });
    expect(Object.values(sourceIP?.flows.without ?? {})).not.toContain(1);
    for (const loss of ['family', 'loopback']) {
      const line = new RegExp(`event=sourceLost .*loss=${loss} isRefused=true`);
      await program.until(() => line.test(program.stderr), DEADLINE_MS, `a line on ${loss}`);
    }
  });

  it('to a server that is busy for long shows it the addresses of all its clients', async () => {
    await serveOn([], [], [], BUSY_SERVER);
    const asking = Array.from({ length: 20 }, () => askWho(client, HOST_ADDRESS.v4, PORT, 60));
    for (const { real, seen } of await Promise.all(asking)) expect(seen).toBe(real);
    expect(await flows()).toMatchObject({ kept: 20 });
  });
});
