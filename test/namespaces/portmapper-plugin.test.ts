/** `sluice portmapper` with real rootlesskits, asked by a program in the child namespaces. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, expect, it } from 'vitest';
import { createApiClient } from '../../dist/parent/api/client.js';
import { type Cleanup, temporaryFolder } from '../harness/cleanup.js';
import { ask } from '../harness/http.js';
import { rootlesskit, tool } from '../harness/needs.js';
import { assertFree, freePort, freeRange } from '../harness/ports.js';
import { type Program, run, start } from '../harness/processes.js';
import type { Rootlesskit } from '../harness/rootlesskit.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { type Peer, nameOf, startOurs } from './peers-support.js';
import type { Status } from '../../src/msg/port.js';

const DEADLINE_MS = 20_000;
const SOCKET = '/run/docker/plugins/sluice.sock';

const [TCP, SCTP] = [6, 132];
const REQUEST = {
  Proto: TCP,
  BackendIP: '172.17.0.2',
  BackendPort: 80,
  FrontendIP: '127.0.0.1',
  FrontendPort: 0,
  FrontendPortEnd: 0,
};

interface Wire {
  readonly PortBindings: readonly {
    readonly FrontendIP: string;
    readonly FrontendPort: number;
    readonly DiscardReq: boolean;
    readonly NAT: { readonly FromAddr: string; readonly FromPort: number } | null;
    readonly Error: string | null;
  }[];
  readonly Err: string;
}

interface Reply {
  readonly status: number;
  readonly body: unknown;
}

/**
 * A POST by a curl in the child's user and mount namespaces. (Whether its process is in the network
 * namespace varies with --detach-netns: /proc shows that of its first thread.)
 */
async function post({ childPid }: Rootlesskit, path: string, body?: unknown): Promise<Reply> {
  const text = body === undefined ? '' : JSON.stringify(body);
  const curl = ['curl', '-sS', '--unix-socket', SOCKET, '-w', '\n%{http_code}', '-d', text];
  const nsenter = ['nsenter', '--preserve-credentials', '-U', '-m', '-t', String(childPid)];
  const output = await run([...nsenter, '--', ...curl, `http://plugin${path}`]);
  const cut = output.lastIndexOf('\n');
  return { status: Number(output.slice(cut + 1)), body: JSON.parse(output.slice(0, cut)) };
}

async function map(child: Rootlesskit, ...Reqs: readonly object[]): Promise<Wire> {
  const { status, body } = await post(child, '/PortMapper.MapPorts', { Reqs, Labels: {} });
  expect(status).toBe(200);
  return body as Wire;
}

async function list({ socket }: Rootlesskit): Promise<Status[]> {
  return JSON.parse((await ask({ socketPath: socket, path: '/v1/ports' })).body) as Status[];
}

async function startPlugin(cleanup: Cleanup, { stateDir }: Rootlesskit): Promise<Program> {
  const plugin = await start(cleanup, sluice('portmapper'), {
    env: { ROOTLESSKIT_STATE_DIR: stateDir },
  });
  await plugin.line(/^serving on /m, DEADLINE_MS);
  return plugin;
}

const PEERS: readonly Peer[] = [
  { major: 1, net: 'slirp4netns', flags: ['--copy-up=/etc', '--copy-up=/run'] },
  { major: 2, net: 'slirp4netns', flags: ['--copy-up=/etc', '--copy-up=/run', '--detach-netns'] },
];

for (const peer of PEERS) {
  describeWith([rootlesskit(peer.major), tool('curl')], `the plugin in ${nameOf(peer)}`, () => {
    const suite = perSuite();
    const test = perTest();
    let child: Rootlesskit;

    beforeAll(async () => {
      child = await startOurs(suite, peer, ['sleep', 'infinity']);
      await startPlugin(suite, child);
    });

    afterEach(async () => {
      for (const { id } of await list(child)) {
        await ask({ socketPath: child.socket, path: `/v1/ports/${id}`, method: 'DELETE' });
      }
    });

    it('says what it is', async () => {
      expect(await post(child, '/Plugin.Activate')).toEqual({
        status: 200,
        body: { Implements: ['PortMapper'] },
      });
    });

    it('maps, and unmaps by what it answered', async () => {
      const hosts = ['127.0.0.1', '127.0.0.2', '::1'];
      const answer = await map(child, ...hosts.map((host) => ({ ...REQUEST, FrontendIP: host })));
      const port = answer.PortBindings[0]?.FrontendPort ?? 0;
      expect(answer).toEqual({
        PortBindings: hosts.map((host) => ({
          Proto: TCP,
          BackendIP: '172.17.0.2',
          BackendPort: 80,
          FrontendIP: host,
          FrontendPort: port,
          DiscardReq: false,
          AllowForwarding: true,
          NAT: { FromAddr: host, FromPort: port },
          Error: null,
        })),
        Err: '',
      });
      expect((await list(child)).map(({ spec }) => [spec.parentIP, spec.parentPort])).toEqual(
        hosts.map((host) => [host, port]),
      );
      await expect(assertFree(port)).rejects.toThrow('EADDRINUSE');

      const { PortBindings } = answer;
      const unmapped = await post(child, '/PortMapper.UnmapPorts', { PortBindings, Labels: null });
      expect(unmapped).toEqual({ status: 200, body: { Err: '' } });
      expect(await list(child)).toEqual([]);
      await assertFree(port);
    });

    it('passes over a port of a range that another program has', async () => {
      const first = await freeRange(2);
      const rival = await start(test, [
        'socat',
        '-dd',
        `TCP6-LISTEN:${first},bind=[::1]`,
        'STDOUT',
      ]);
      await rival.line(/listening on/, DEADLINE_MS);
      const range = { ...REQUEST, FrontendPort: first, FrontendPortEnd: first + 1 };
      const { PortBindings } = await map(child, range, { ...range, FrontendIP: '::1' });
      expect(PortBindings.map(({ FrontendPort }) => FrontendPort)).toEqual([first + 1, first + 1]);
      expect(await list(child)).toHaveLength(2);
    });

    it('refuses the whole call for a port that another program has, and keeps none', async () => {
      const [port, other] = [await freePort(), await freePort()];
      const rival = await start(test, [
        'socat',
        '-dd',
        `TCP4-LISTEN:${port},bind=127.0.0.1`,
        'STDOUT',
      ]);
      await rival.line(/listening on/, DEADLINE_MS);
      const exact = [other, port].map((FrontendPort) => ({ ...REQUEST, FrontendPort }));
      const { status, body } = await post(child, '/PortMapper.MapPorts', { Reqs: exact });
      expect(status).toBe(400);
      const spec = `127.0.0.1:${port}:127.0.0.1:${port}/tcp4`;
      expect(body).toEqual({
        Err: `cannot map ${spec}: cannot listen on 127.0.0.1:${port}/tcp4: the port is in use by socat (pid ${rival.pid}); stop it or choose another port`,
      });
      expect(await list(child)).toEqual([]);
      await assertFree(other);
    });

    it('tells every failure of unmapping, and unmaps the rest', async () => {
      const { PortBindings } = await map(child, REQUEST);
      const strange = [8, 9].map((FrontendPort) => ({ ...REQUEST, FrontendPort }));
      const all = { PortBindings: [strange[0], ...PortBindings, strange[1]] };
      expect(await post(child, '/PortMapper.UnmapPorts', all)).toEqual({
        status: 400,
        body: {
          Err: 'port 8 of host address 127.0.0.1, protocol tcp4, is not mapped; port 9 of host address 127.0.0.1, protocol tcp4, is not mapped',
        },
      });
      expect(await list(child)).toEqual([]);
    });

    it.each([
      ['/PortMapper.MapPorts', { Reqs: 1 }, 400, /^bad request: Reqs: /],
      ['/PortMapper.MapPorts', { Reqs: [{ FrontendIP: 'x' }] }, 400, /^invalid host address: "x"/],
      ['/NetworkDriver.Join', {}, 404, /^unknown path \/NetworkDriver\.Join, the plugin serves /],
    ])('answers errors as plugins do: %s %j', async (path, body, status, message) => {
      const reply = await post(child, path, body);
      expect(reply.status).toBe(status);
      expect((reply.body as { Err: string }).Err).toMatch(message);
      expect(Object.keys(reply.body as object)).toEqual(['Err']);
    });
  });
}

const TAP: Peer = {
  major: 2,
  net: 'slirp4netns',
  flags: ['--copy-up=/run', '--child-host-ip=tap'],
};

describeWith([rootlesskit(2), tool('curl')], 'the plugin of a driver that lacks IPv6', () => {
  const test = perTest();

  it('discards those requests alone, and names the address of the tap', async () => {
    const child = await startOurs(test, TAP, ['sleep', 'infinity']);
    await startPlugin(test, child);
    const sctp = { ...REQUEST, Proto: SCTP, FrontendIP: '::1', FrontendPort: 99 };
    const { PortBindings } = await map(child, REQUEST, { ...REQUEST, FrontendIP: '::1' }, sctp);
    const [four, six, other] = PortBindings;
    const port = four?.FrontendPort;
    expect(four).toMatchObject({
      DiscardReq: false,
      NAT: { FromAddr: '10.0.2.100', FromPort: port },
    });
    expect(six).toMatchObject({ DiscardReq: true, NAT: null, FrontendPort: port });
    expect(six?.Error).toMatch(/^protocol tcp6 is not supported by port driver sluice, /);
    expect(other).toMatchObject({ DiscardReq: true, NAT: null, FrontendPort: 99 });
    const { portDriver } = await createApiClient(child.socket).info();
    expect(other?.Error).toBe(
      `protocol sctp6 is not supported by port driver sluice, which publishes ${portDriver?.protos?.join(', ')}`,
    );
    expect(await list(child)).toHaveLength(1);
    const unmapped = await post(child, '/PortMapper.UnmapPorts', { PortBindings });
    expect(unmapped).toEqual({ status: 200, body: { Err: '' } });
    expect(await list(child)).toEqual([]);
  });
});

describeWith([rootlesskit(2), tool('curl')], 'the process of the plugin', () => {
  const test = perTest();
  const peer: Peer = { major: 2, net: 'slirp4netns', flags: ['--copy-up=/run'] };

  it('takes its socket away at the end, and the ports stay', async () => {
    const child = await startOurs(test, peer, ['sleep', 'infinity']);
    const socket = `/proc/${child.childPid}/root${SOCKET}`;
    const plugin = await startPlugin(test, child);
    await map(child, REQUEST);
    plugin.signal('SIGTERM');
    expect(await plugin.exited(DEADLINE_MS)).toEqual({ code: 0, signal: null });
    expect(existsSync(socket)).toBe(false);

    await startPlugin(test, child);
    const [{ spec } = { spec: undefined }] = await list(child);
    const binding = { ...REQUEST, FrontendPort: spec?.parentPort };
    const unmapped = await post(child, '/PortMapper.UnmapPorts', { PortBindings: [binding] });
    expect(unmapped).toEqual({ status: 200, body: { Err: '' } });
    expect(await list(child)).toEqual([]);
  });

  it('ends with the namespaces', async () => {
    const child = await startOurs(test, peer, ['sleep', 'infinity']);
    const plugin = await startPlugin(test, child);
    await child.program.end();
    expect(await plugin.exited(DEADLINE_MS)).toEqual({ code: 0, signal: null });
  });

  it('says what is missing where the child has no /run of its own', async () => {
    const child = await startOurs(test, { ...peer, flags: [] }, ['sleep', 'infinity']);
    const plugin = await start(test, sluice('portmapper', '--socket', child.socket));
    expect(await plugin.exited(DEADLINE_MS)).toEqual({ code: 1, signal: null });
    expect(plugin.stderr).toMatch(
      /^sluice: cannot make \/proc\/\d+\/root\/run\/docker\/plugins: .*; start rootlesskit with --copy-up=\/run, as dockerd-rootless\.sh does, or give another path with --listen\n$/,
    );
  });

  it('serves at another path', async () => {
    const child = await startOurs(test, { ...peer, flags: [] }, ['sleep', 'infinity']);
    const path = join(temporaryFolder(test), 'new/plugin.sock');
    const options = ['--socket', child.socket, '--listen', path];
    const plugin = await start(test, sluice('portmapper', ...options));
    await plugin.line(/^serving on /m, DEADLINE_MS);
    const request = { socketPath: path, path: '/Plugin.Activate', method: 'POST' };
    expect(await ask(request)).toEqual({ status: 200, body: '{"Implements":["PortMapper"]}' });
  });
});
