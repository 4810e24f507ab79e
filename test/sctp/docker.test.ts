/** Ports as rootless dockerd publishes them: its rootlesskit, API calls, rules, and proxy. */
import { beforeAll, expect, it } from 'vitest';
import type { Spec, Status } from '../../dist/msg/port.js';
import type { Info } from '../../dist/parent/api/info.js';
import { enterAsUser, makeHostWithSubids } from '../harness/host-with-subids.js';
import { ask } from '../harness/http.js';
import {
  CLIENT_ADDRESS,
  HOST_ADDRESS,
  type Namespace,
  enter,
  makeClient,
  runIn,
} from '../harness/namespaces.js';
import { rootlesskit, tool } from '../harness/needs.js';
import { start } from '../harness/processes.js';
import type { Rootlesskit } from '../harness/rootlesskit.js';
import { describeWith, perSuite } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { type Peer, startOurs } from '../namespaces/peers-support.js';

const DEADLINE_MS = 15_000;
const PORT = 36412;
const LOCAL_PORT = 2905;
const SINK_PORT = 3868;
/** One more than is forwarded. */
const OVERSIZED_BYTES = 1024 * 1024 + 1;
/** Of a network that is not in the namespace, so that a container's replies to it can come back. */
const ELSEWHERE = 'fd00:9::3';

const SPECS: readonly Spec[] = [
  { proto: 'sctp4', parentIP: '0.0.0.0', parentPort: PORT, childPort: PORT, childIP: '127.0.0.1' },
  { proto: 'sctp6', parentIP: '::', parentPort: PORT, childPort: PORT, childIP: '::1' },
];

/** As dockerd 28.5 writes them for its first container. */
const RULES = `
  iptables-nft -t nat -N DOCKER
  iptables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
  iptables-nft -t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
  iptables-nft -t nat -A DOCKER -i docker0 -j RETURN
  iptables-nft -t nat -A DOCKER -d 127.0.0.1/32 ! -i docker0 -p sctp -m sctp --dport ${PORT} \
    -j DNAT --to-destination ${CLIENT_ADDRESS.v4}:${PORT}
  ip6tables-nft -t nat -N DOCKER
  ip6tables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
  ip6tables-nft -t nat -A OUTPUT ! -d ::1/128 -m addrtype --dst-type LOCAL -j DOCKER
  ip6tables-nft -t nat -A DOCKER -i docker0 -j RETURN
  ip6tables-nft -t nat -A DOCKER ! -s fe80::/10 -d ::1/128 ! -i docker0 -p sctp -m sctp \
    --dport ${PORT} -j DNAT --to-destination [${CLIENT_ADDRESS.v6}]:${PORT}`;

/** Of socat: tells every client who answers, and who the client is. */
const greet = (name: string) => `SYSTEM:echo ${name} \\$SOCAT_PEERADDR`;

/** Of what a driver has written. */
const reportsIn = (log: string) =>
  [...log.matchAll(/msg="(.* SCTP associations .*)"$/gm)].map(([, text]) => text);

describeWith([rootlesskit(2), tool('socat')], 'SCTP ports of a rootless dockerd', () => {
  const suite = perSuite();
  let client: Namespace;
  let driver: Rootlesskit;

  beforeAll(async () => {
    const host = await makeHostWithSubids(suite);
    client = await makeClient(suite, host);
    await runIn(client, ['ip', 'addr', 'add', `${ELSEWHERE}/64`, 'dev', 'host0', 'nodad']);
    await runIn(host, ['ip', 'route', 'add', 'fd00:9::/64', 'dev', 'client0']);
    // As dockerd-rootless.sh does.
    const peer: Peer = {
      major: 2,
      net: 'slirp4netns',
      flags: ['--copy-up=/etc', '--copy-up=/run'],
    };
    const launcher = enterAsUser(host, 'docker-rootlesskit');
    driver = await startOurs(suite, peer, ['sleep', 'infinity'], { program: launcher });
    const child = { pid: driver.childPid };
    const container = await makeClient(suite, child);
    for (const gateway of [HOST_ADDRESS.v4, HOST_ADDRESS.v6]) {
      await runIn(container, ['ip', 'route', 'add', 'default', 'via', gateway]);
    }
    await serve(container, ['0.0.0.0', '::'], PORT, greet('container'));
    await serve(child, ['127.0.0.1', '::1'], PORT, greet('proxy'));
    await serve(child, ['::1'], LOCAL_PORT, greet('local'));
    await serve(child, ['127.0.0.1'], SINK_PORT, 'OPEN:/dev/null,wronly');
    await runIn(child, ['sh', '-e', '-c', RULES], {
      env: { XTABLES_LOCKFILE: '/proc/self/comm' },
    });
  });

  async function info(): Promise<Info> {
    return JSON.parse((await ask({ socketPath: driver.socket, path: '/v1/info' })).body) as Info;
  }

  async function post(spec: Spec): Promise<number> {
    const request = { socketPath: driver.socket, method: 'POST', path: '/v1/ports' };
    const { status, body } = await ask(request, JSON.stringify(spec));
    expect(status).toBe(201);
    return (JSON.parse(body) as Status).id;
  }

  async function serve(namespace: Namespace, ips: readonly string[], port: number, to: string) {
    for (const ip of ips) {
      const listen = ip.includes(':')
        ? `SCTP6-LISTEN:${port},bind=[${ip}],ipv6only=1,fork,reuseaddr`
        : `SCTP4-LISTEN:${port},bind=${ip},fork,reuseaddr`;
      const server = await start(suite, enter(namespace, 'socat', '-d', '-d', listen, to));
      await until(() => server.stderr.includes('listening on'), DEADLINE_MS, 'a server');
    }
  }

  /** What a client hears; socat's words where it is refused. */
  async function askThrough(to: string): Promise<string> {
    const command = ['socat', '-T', '30', '-u', to, 'STDOUT'];
    const program = await start(suite, enter(client, ...command));
    await program.exited(DEADLINE_MS);
    return program.stdout.trim() || program.stderr.trim();
  }

  const v4 = `SCTP4:${HOST_ADDRESS.v4}:${PORT}`;
  const v6 = `SCTP6:[${HOST_ADDRESS.v6}]:${PORT}`;

  it('lead past its proxy to the container, which sees IPv6 clients themselves', async () => {
    const ids = [];
    for (const spec of SPECS) ids.push(await post(spec));

    // On a slow machine the rules are not read by the time that the first clients are let go.
    for (const to of [v4, v6]) {
      const isPast = async () => (await askThrough(to)).startsWith('container');
      await until(isPast, DEADLINE_MS, 'an answer of the container');
    }
    expect(await askThrough(v4)).toBe(`container ${HOST_ADDRESS.v4}`);
    const { protos, flows } = (await info()).portDriver?.sourceIP ?? {};
    expect(protos?.['sctp6']).toMatchObject({ kept: true });
    expect(protos?.['sctp4']).toEqual({
      kept: false,
      reason: 'Linux sends no SCTP from an IPv4 address of somebody else',
    });
    // The driver does without for a minute where an answer takes it more than three seconds. socat
    // writes all the digits.
    const isKept = async () =>
      /^container \[fd00:0*9:[0:]*:0*3\]$/.test(await askThrough(`${v6},bind=[${ELSEWHERE}]`));
    await until(isKept, DEADLINE_MS, 'a container that sees the client');
    expect((await info()).portDriver?.sourceIP?.flows.kept).toBe((flows?.kept ?? 0) + 1);

    for (const id of ids) {
      expect(
        (await ask({ socketPath: driver.socket, method: 'DELETE', path: `/v1/ports/${id}` }))
          .status,
      ).toBe(200);
    }
    expect(await askThrough(v4)).toContain('Connection refused');
  });

  it('without a rule lead to a server in the namespace, which sees the agent', async () => {
    const port = { parentPort: LOCAL_PORT, childPort: LOCAL_PORT, childIP: '::1' };
    await post({ proto: 'sctp6', parentIP: '::', ...port });
    const to = `SCTP6:[${HOST_ADDRESS.v6}]:${LOCAL_PORT},bind=[${ELSEWHERE}]`;
    expect(await askThrough(to)).toMatch(/^local \[[0:]*1\]$/);
  });

  it('have a line in the log for messages that are too large, once for all in a minute', async () => {
    const port = { parentPort: SINK_PORT, childPort: SINK_PORT, childIP: '127.0.0.1' };
    await post({ proto: 'sctp4', parentIP: '0.0.0.0', ...port });
    const to = `SCTP4:${HOST_ADDRESS.v4}:${SINK_PORT},sndbuf=${OVERSIZED_BYTES}`;
    const END = /reset by peer|Broken pipe|transport endpoint shutdown/;
    const send = ['socat', '-b', String(OVERSIZED_BYTES), '-u', 'OPEN:/dev/zero', to];
    for (const _ of ['told', 'not told']) {
      await expect(runIn(client, send)).rejects.toThrow(END);
    }
    const { program } = driver;
    await until(() => reportsIn(program.stderr).length > 0, DEADLINE_MS, 'a line in the log');
    expect(reportsIn(program.stderr)).toEqual([
      `1 SCTP associations to 0.0.0.0:${SINK_PORT}:127.0.0.1:${SINK_PORT}/sctp4 were aborted: ` +
        'a message was larger than 1024 KiB, or than twice net.core.wmem_max; ' +
        'raise that with sysctl if it is the lower one',
    ]);
  });
});
