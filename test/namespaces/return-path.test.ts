/** What is found out about replies of a container of Docker, which has routes and a firewall. */
import type { Transport } from '../../src/msg/port.js';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { nsenterOptions, systemPath } from '../../dist/parent/nsenter.js';
import { findReturnPath, type ReturnPath } from '../../dist/parent/return-path/return-path.js';
import { type Docker, sluiceOptions, startDocker } from '../harness/docker.js';
import { docker as needsDocker, tool } from '../harness/needs.js';
import { run } from '../harness/processes.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 20_000;
/** Nobody has these: only routes and rules speak of them. */
const CLIENTS = { v4: '198.51.100.2', v6: 'fd00:1::2' } as const;
const OTHER_CLIENT = '198.51.100.3';
const NETWORK = { v4: '172.30.0.0/24', v6: 'fd00:7::/64' } as const;
const GATEWAY = { v4: '172.30.0.1', v6: 'fd00:7::1' } as const;
const SERVER = { v4: '172.30.0.8', v6: 'fd00:7::8' } as const;
const NOBODY = { v4: '172.30.0.9', v6: 'fd00:7::9' } as const;
const FAMILIES = ['v4', 'v6'] as const;
type Family = (typeof FAMILIES)[number];

const OPEN = { verdict: 'open', scope: 'target', reason: 'replies to foreign addresses come back' };
const NO_ROUTE = {
  verdict: 'lost',
  scope: 'target',
  reason: 'the container has no default route',
};

const routed = (family: Family, rest: string) => `ip -${family.slice(1)} route ${rest}`;
const tables = (family: Family) => (family === 'v4' ? 'iptables' : 'ip6tables');

describeWith([needsDocker, tool('ip'), tool('iptables')], 'the replies of a container', () => {
  const suite = perSuite();
  const test = perTest();
  let docker: Docker;
  let child: number;
  let container: string[];

  beforeAll(async () => {
    docker = await startDocker(suite, sluiceOptions(suite));
    child = Number(readFileSync(join(docker.stateDir, 'child_pid'), 'utf8'));
    const subnets = FAMILIES.map((family) => `--subnet=${NETWORK[family]}`);
    const gateways = FAMILIES.map((family) => `--gateway=${GATEWAY[family]}`);
    await docker.docker('network', 'create', '--ipv6', ...subnets, ...gateways, 'net');
    await docker.runWeb('--name=web', '--network=net', `--ip=${SERVER.v4}`, `--ip6=${SERVER.v6}`);
    const pid = await docker.docker('inspect', '--format', '{{.State.Pid}}', 'web');
    container = ['nsenter', ...nsenterOptions({ pid: child, netnsPath: `/proc/${pid}/ns/net` })];
    // Nobody is reached over IPv6 before the end of duplicate address detection.
    await until(
      async () => (await find(CLIENTS.v6)).verdict === 'open',
      DEADLINE_MS,
      'an answer over IPv6',
    );
  });

  /** Runs a command in the container's network namespace, and `undo` after the test. */
  async function inside(command: string, undo?: string): Promise<void> {
    // The machine's own lock file is root's.
    const env = { XTABLES_LOCKFILE: '/proc/self/comm', PATH: systemPath() };
    await run([...container, ...command.split(' ')], { env });
    if (undo !== undefined) {
      test.defer(() => run([...container, ...undo.split(' ')], { env }));
    }
  }

  /** A second network, and the device in it. */
  async function addDevice(...addresses: readonly string[]): Promise<void> {
    await inside('ip link add vpn0 type veth peer name vpn1', 'ip link del vpn0');
    for (const device of ['vpn0', 'vpn1']) await inside(`ip link set ${device} up`);
    for (const address of addresses) await inside(`ip addr add ${address} dev vpn0`);
  }

  function find(
    client: string = CLIENTS.v4,
    target?: string,
    transport: Transport = 'tcp',
  ): Promise<ReturnPath> {
    const ip = target ?? (client.includes(':') ? SERVER.v6 : SERVER.v4);
    return findReturnPath({
      child: { pid: child },
      target: { ip, port: 80, transport },
      client,
    });
  }

  it.each(FAMILIES)('come back over IP%s by default', async (family) => {
    expect(await find(CLIENTS[family])).toEqual(OPEN);
  });

  it.each(FAMILIES)('get lost over IP%s without a default route', async (family) => {
    const route = `default via ${GATEWAY[family]}`;
    await inside(routed(family, `del ${route}`), routed(family, `add ${route}`));
    expect(await find(CLIENTS[family])).toEqual(NO_ROUTE);
  });

  it('get lost in an internal network', async () => {
    await docker.docker('network', 'create', '--internal', '--subnet=172.31.0.0/24', 'internal');
    await docker.runWeb('--network=internal', '--ip=172.31.0.8');
    expect(await find(CLIENTS.v4, '172.31.0.8')).toEqual(NO_ROUTE);
  });

  it('get lost where the default route leads by another device', async () => {
    await addDevice();
    const back = routed('v4', `replace default via ${GATEWAY.v4}`);
    await inside(routed('v4', 'replace default dev vpn0'), back);
    expect(await find()).toEqual({
      verdict: 'lost',
      scope: 'target',
      reason: `the container's route to ${CLIENTS.v4} leads by vpn0`,
    });
  });

  it('get lost where the gateway is somebody else’s', async () => {
    await addDevice('10.5.0.2/24');
    const back = routed('v4', `replace default via ${GATEWAY.v4}`);
    await inside(routed('v4', 'replace default via 10.5.0.1'), back);
    expect(await find()).toMatchObject({
      verdict: 'lost',
      scope: 'target',
      reason: `the container's route to ${CLIENTS.v4} leads by vpn0 to 10.5.0.1`,
    });
  });

  it('get lost to the clients of a network of its own alone', async () => {
    await addDevice('198.51.100.9/24');
    expect(await find()).toEqual({
      verdict: 'lost',
      scope: 'client',
      reason: `${CLIENTS.v4} lies in the container's own network vpn0`,
    });
    expect(await find('198.51.101.2')).toEqual(OPEN);
  });

  it('get lost to the clients that a policy rule sends elsewhere', async () => {
    const rule = `to ${CLIENTS.v4} blackhole`;
    await inside(`ip rule add ${rule}`, `ip rule del ${rule}`);
    expect(await find()).toMatchObject({ verdict: 'lost', scope: 'client' });
    expect(await find(OTHER_CLIENT)).toEqual(OPEN);
  });

  it('come back through a second network that has the gateway', async () => {
    await docker.docker('network', 'create', '--subnet=172.29.0.0/24', 'second');
    await docker.docker('network', 'connect', '--gw-priority=10', 'second', 'web');
    test.defer(() => docker.docker('network', 'disconnect', 'second', 'web'));
    expect(await find()).toEqual(OPEN);
  });

  it.each(FAMILIES)('are shut in over IP%s by a firewall that lets none out', async (family) => {
    const rule = `OUTPUT ! -d ${NETWORK[family]} -j DROP`;
    await inside(`${tables(family)} -I ${rule}`, `${tables(family)} -D ${rule}`);
    expect(await find(CLIENTS[family], SERVER[family], 'udp')).toEqual({
      verdict: 'shut',
      scope: 'target',
      reason: "the container's firewall lets no reply to foreign addresses out",
    });
    // It may let TCP out all the same: a connection that hangs says nothing.
    expect((await find(CLIENTS[family])).verdict).toBe('unknown');
  });

  it('are unknown in a container whose routes look at marks', async () => {
    await addDevice('10.5.0.2/24');
    const back = routed('v4', `replace default via ${GATEWAY.v4}`);
    await inside(routed('v4', 'replace default dev vpn0'), back);
    expect((await find()).verdict).toBe('lost');
    await inside('ip rule add fwmark 1 lookup 100', 'ip rule del fwmark 1 lookup 100');
    expect((await find()).verdict).toBe('unknown');
  });

  it.each(['INPUT -s', 'OUTPUT -d'])(
    'come back where a rule in %s drops a client',
    async (where) => {
      const rule = `${where} ${CLIENTS.v4} -j DROP`;
      await inside(`iptables -I ${rule}`, `iptables -D ${rule}`);
      expect(await find()).toEqual(OPEN);
    },
  );

  it.each([
    ['another client', OTHER_CLIENT],
    ['local networks', '172.16.0.0/12'],
  ])('are unknown behind a list that lets in %s alone', async (_, allowed) => {
    const rule = `INPUT ! -s ${allowed} -j DROP`;
    await inside(`iptables -I ${rule}`, `iptables -D ${rule}`);
    expect(await find()).toMatchObject({ verdict: 'unknown' });
  });

  function nft(options: readonly string[], input?: string): Promise<string> {
    return run(['nsenter', ...nsenterOptions({ pid: child }), 'nft', ...options], {
      env: { PATH: systemPath() },
      ...(input !== undefined && { input }),
    });
  }

  it('are unknown where the rules that bring them back are gone', async () => {
    const table = await nft(['list', 'table', 'inet', 'sluice']);
    const anew = `table inet sluice\ndelete table inet sluice\n${table}`;
    test.defer(() => nft(['-f', '-'], anew));
    await nft(['delete', 'table', 'inet', 'sluice']);
    expect((await find()).verdict).not.toBe('lost');
  });

  it('come back while all processes of the container are stopped', async () => {
    await docker.docker('kill', '--signal=STOP', 'web');
    test.defer(() => docker.docker('kill', '--signal=CONT', 'web'));
    expect(await find()).toEqual(OPEN);
  });

  it.each(FAMILIES)('can’t come over IP%s where nobody has the address', async (family) => {
    expect(await find(CLIENTS[family], NOBODY[family])).toMatchObject({
      verdict: 'dead',
      scope: 'target',
      reason: expect.stringMatching(/^nobody on br-\w+ has the address /) as string,
    });
  });

  it('come back from the namespace itself', async () => {
    expect(await find(CLIENTS.v4, GATEWAY.v4)).toMatchObject({ verdict: 'open' });
  });

  it(
    'are looked for by one program for many clients at once',
    async () => {
      const clients = Array.from({ length: 100 }, (_, index) => `198.51.100.${index + 1}`);
      const found = await Promise.all(clients.map((client) => find(client)));
      expect(found).toEqual(clients.map(() => OPEN));
    },
    DEADLINE_MS,
  );

  it('can’t be looked at where the namespaces are gone', async () => {
    const question = { child: { pid: 2 ** 22 + 1 }, client: CLIENTS.v4 };
    const target = { ip: SERVER.v4, port: 80, transport: 'tcp' } as const;
    expect(await findReturnPath({ ...question, target })).toMatchObject({
      verdict: 'failed',
      reason: expect.stringContaining('nsenter: cannot open') as string,
    });
  });
});
