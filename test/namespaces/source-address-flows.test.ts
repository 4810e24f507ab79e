/** Flows under a client's address, and what engines and administrators do to their packets. */
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import * as libc from '../../dist/msg/libc.js';
import * as linux from '../../dist/msg/linux.js';
import { OUT_MARK } from '../../dist/msg/marks.js';
import { familyOf } from '../../dist/msg/sockaddr.js';
import { setUpSourceAddressing } from '../../src/parent/source-address/set-up.js';
import {
  HOST_ADDRESS,
  type Namespace,
  makeClient,
  makeHost,
  runIn,
} from '../harness/namespaces.js';
import { tool } from '../harness/needs.js';
import { REPOSITORY } from '../harness/paths.js';
import { SocketsInside } from '../harness/sockets-inside.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { TcpSocket } from '../harness/tcp-socket.js';
import { UdpSocket } from '../harness/udp-socket.js';
import { until } from '../harness/wait.js';
import { CLIENT, CONTAINER, untilSettled } from './kernel-transparent-support.js';
import { NEEDS, pathOf } from './source-address-setup-support.js';

const DEADLINE_MS = 15_000;
const PORT = 80;
const FLUSH_CONNTRACK = join(REPOSITORY, 'test/namespaces/flush-conntrack.ts');
const PROGRAMS = {
  nftables: ['ip', 'nft'],
  iptables: ['ip', 'iptables-restore', 'ip6tables-restore'],
};
const FAMILIES = ['v4', 'v6'] as const;
type Version = (typeof FAMILIES)[number];
const TRANSPARENT = {
  v4: [linux.IPPROTO_IP, linux.IP_TRANSPARENT],
  v6: [linux.IPPROTO_IPV6, linux.IPV6_TRANSPARENT],
} as const;

const option = libc.allocate(4);

/** Of the agent's kind. */
function asClient<Socket extends { readonly fd: number }>(socket: Socket, version: Version) {
  const [level, name] = TRANSPARENT[version];
  const options = [
    [level, name, 1],
    [linux.SOL_SOCKET, linux.SO_REUSEADDR, 1],
    [linux.SOL_SOCKET, linux.SO_MARK, OUT_MARK],
  ] as const;
  for (const [of, which, value] of options) {
    option.view.setInt32(0, value, true);
    expect(libc.setsockopt(socket.fd, of, which, option.address, 4)).toBe(0);
  }
  return socket;
}

const MASQUERADE = '-t nat -A POSTROUTING ! -o br-x -j MASQUERADE';
/** An engine's rules for a network that would hold the client. */
const ENGINES = [
  `iptables ${MASQUERADE}`,
  `ip6tables ${MASQUERADE}`,
  `iptables-legacy ${MASQUERADE}`,
  `nft 'table inet engine {
    chain post { type nat hook postrouting priority srcnat; oifname != "br-x" masquerade; }
  }'`,
];

const needs = [...NEEDS, tool('iptables-legacy')];
describeWith(needs, 'a flow under the address of its client', () => {
  for (const via of ['nftables', 'iptables'] as const) describeVia(via);
});

function describeVia(via: keyof typeof PROGRAMS): void {
  describeWith(needs, `with ${via}`, () => {
    const suite = perSuite();
    const test = perTest();
    let child: Namespace;
    let container: Namespace;
    let ports = 5000;
    let sockets: Record<'tcp' | 'udp', Record<'inside' | 'outside', SocketsInside>>;

    beforeAll(async () => {
      child = await makeHost(suite);
      container = await makeClient(suite, child);
      for (const gateway of [HOST_ADDRESS.v4, HOST_ADDRESS.v6]) {
        await runIn(container, ['ip', 'route', 'add', 'default', 'via', gateway]);
      }
      const pools = (protocol: number) => ({
        inside: new SocketsInside(suite, container, protocol),
        outside: new SocketsInside(suite, child, protocol),
      });
      sockets = { tcp: pools(linux.IPPROTO_TCP), udp: pools(linux.IPPROTO_UDP) };
      for (const namespace of [child, container]) await untilSettled(namespace);
      const addressing = await setUpSourceAddressing(child, pathOf(suite, ...PROGRAMS[via]));
      expect(addressing).toMatchObject({ ipv4: true, ipv6: true, via });
    });

    /** Makes sockets of the server and of its client. */
    function ends(version: Version, protocol: number) {
      const family = familyOf(CLIENT[version]);
      const { inside, outside } = sockets[protocol === linux.IPPROTO_TCP ? 'tcp' : 'udp'];
      return {
        port: ports++,
        inside: () => inside.take(family),
        outside: () => outside.take(family),
      };
    }

    async function connection(version: Version) {
      const { port, inside, outside } = ends(version, linux.IPPROTO_TCP);
      const listener = new TcpSocket(test, await inside()).bind(CONTAINER[version], PORT).listen(1);
      const client = asClient(new TcpSocket(test, await outside()), version)
        .bind(CLIENT[version], port)
        .connect(CONTAINER[version], PORT);
      return { client, server: await listener.accept(test) };
    }

    async function exchange(version: Version) {
      const family = familyOf(CLIENT[version]);
      const { port, inside, outside } = ends(version, linux.IPPROTO_UDP);
      const server = new UdpSocket(test, await inside(), family).bind(CONTAINER[version], PORT);
      const connect = async () =>
        asClient(new UdpSocket(test, await outside(), family), version)
          .bind(CLIENT[version], port)
          .connect(CONTAINER[version], PORT);
      return { server, connect, from: { ip: CLIENT[version], port } };
    }

    /** And changes a route: a socket remembers where its packets came in until then. */
    async function forgetConnections(): Promise<void> {
      await runIn(child, [process.execPath, '--import', 'tsx', FLUSH_CONNTRACK]);
      await runIn(child, ['ip', 'route', 'replace', '10.99.0.0/16', 'dev', 'lo']);
    }

    it.each(FAMILIES)('goes on when conntrack forgets it and the server speaks: %s', async (v) => {
      const { client, server } = await connection(v);
      const { connect, server: answering, from } = await exchange(v);
      const udp = await connect();
      udp.send('hello');
      const hello = await answering.receive();
      await forgetConnections();

      server.send('still there');
      await client.expect('still there');
      client.send('yes');
      await server.expect('yes');
      answering.answer(hello, 'still there');
      expect(await udp.receiveText()).toBe('still there');
      udp.send('yes');
      expect((await answering.receive()).from).toEqual(from);
    });

    it.each([4000, 60_000])('brings answers of %i bytes, in fragments, back', async (bytes) => {
      for (const v of FAMILIES) {
        const { connect, server } = await exchange(v);
        const udp = await connect();
        udp.send('how much?');
        server.answer(await server.receive(), Buffer.alloc(bytes, 'x'));
        expect((await udp.receive()).bytes).toHaveLength(bytes);
      }
    });

    // iptables remembers no exchanges.
    it.each(via === 'nftables' ? FAMILIES : [])(
      'is refused after its session, and begins anew as itself: %s',
      async (v) => {
        const { connect, server, from } = await exchange(v);
        const first = await connect();
        first.send('hello');
        expect((await server.receive()).from).toEqual(from);
        first.close();
        const isRefused = () =>
          server.trySend('are you there?', { to: from }) === linux.ECONNREFUSED;
        server.connect(from.ip, from.port);
        await until(isRefused, DEADLINE_MS, 'a refusal');
        await forgetConnections();
        await until(isRefused, DEADLINE_MS, 'a refusal of what conntrack has forgotten');
        (await connect()).send('again');
        expect((await server.receive()).from).toEqual(from);
      },
    );

    // What the kernel does to iptables' own chains first can't be helped by chains of iptables.
    it.each(via === 'nftables' ? ENGINES : ENGINES.slice(0, 2))(
      'stays itself under "%s"',
      async (rule) => {
        await runIn(child, ['sh', '-c', rule], { env: { XTABLES_LOCKFILE: '/proc/self/comm' } });
        for (const v of FAMILIES) {
          const { connect, server, from } = await exchange(v);
          (await connect()).send('who am I?');
          expect((await server.receive()).from).toEqual(from);
        }
      },
    );
  });
}
