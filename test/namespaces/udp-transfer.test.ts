import { beforeAll, expect, it } from 'vitest';
import { AF_INET, AF_INET6, IPPROTO_UDP } from '../../src/msg/linux.js';
import { CLIENT_ADDRESS, makeClient, runIn } from '../harness/namespaces.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { SocketsInside } from '../harness/sockets-inside.js';
import {
  type UdpForwarding,
  next,
  startUdpForwarding,
  udpClient,
} from '../harness/udp-forwarding.js';
import { UdpSocket, udpSocket } from '../harness/udp-socket.js';
import { expectGreeting } from './udp-support.js';

const ANY_IPV6 = { parentIP: '::', childIP: '::1' };
/** The longest that a datagram can be, for its IP and UDP headers. */
const MOST_BYTES = { v4: 65_507, v6: 65_527 } as const;
const DATAGRAMS = 500;
/** DSCP EF and ECT(1). */
const TOS = (46 << 2) | 1;
const OTHER_TOS = (10 << 2) | 2;
const MIXED_TOS = [0, TOS, TOS, OTHER_TOS];

describeWith([userNamespaces, tool('ip')], 'datagrams through a port', () => {
  const suite = perSuite();
  const test = perTest();
  let forwarding: UdpForwarding;

  beforeAll(async () => {
    forwarding = await startUdpForwarding(suite);
  });

  /** A client that is connected to a port, the port, and the server behind it. */
  async function pair(v: 'v4' | 'v6' = 'v4') {
    const isIPv4 = v === 'v4';
    const server = await forwarding.server(test, isIPv4 ? '127.0.0.1' : '::1');
    const port = await forwarding.publish(server.port, isIPv4 ? {} : ANY_IPV6);
    const client = udpSocket(test, isIPv4 ? AF_INET : AF_INET6);
    return { client: client.connect(isIPv4 ? '127.0.0.1' : '::1', port), server, port };
  }

  it.each(['v4', 'v6'] as const)('may be empty, or as long as IP%s allows', async (v) => {
    const { client, server } = await pair(v);
    for (const length of [0, 1, 9000, MOST_BYTES[v], 0]) {
      const sent = Buffer.alloc(length, String(length));
      client.send(sent);
      const received = await server.receive();
      expect(received.bytes.equals(sent)).toBe(true);
      server.answer(received, sent);
      expect((await client.receive()).bytes.equals(sent)).toBe(true);
    }
  });

  it('that are too long for the other family are counted, and later ones come through', async () => {
    const server = await forwarding.server(test);
    const port = await forwarding.publish(server.port, { parentIP: '::1' });
    const client = udpSocket(test, AF_INET6).connect('::1', port);
    await expectGreeting(client, server);
    const before = (await forwarding.stats()).drops['oversized'] ?? 0;
    client.send(Buffer.alloc(MOST_BYTES.v6)).send('short');
    expect((await server.receive()).bytes.toString()).toBe('short');
    expect((await forwarding.stats()).drops['oversized']).toBe(before + 1);
  });

  it.each(['v4', 'v6'] as const)('over IP%s keep their TOS and ECN in both ways', async (v) => {
    const { client, server } = await pair(v);
    await expectGreeting(client, server);
    for (const tos of [TOS, 0, OTHER_TOS]) {
      client.send('up', { tos });
      const up = await server.receive();
      expect(up.tos).toBe(tos);
      server.answer(up, 'down', tos);
      expect((await client.receive()).tos).toBe(tos);
    }
  });

  it('of one batch keep their TOS each, merged or not', async () => {
    const { client, server } = await pair();
    await expectGreeting(client, server);
    await forwarding.agent.frozen(() => {
      for (let index = 0; index < 32; index++)
        client.send(`${index}`, { tos: MIXED_TOS[index % 4] ?? 0 });
    });
    for (let index = 0; index < 32; index++) {
      const { bytes, tos } = await server.receive();
      expect([bytes.toString(), tos]).toEqual([`${index}`, MIXED_TOS[index % 4] ?? 0]);
    }
  });

  it('arrive in their order, whole, whatever their sizes', async () => {
    const { client, server } = await pair();
    const hello = await expectGreeting(client, server);
    const sizes = [1400, 1400, 1400, 700, 0, 1400, 1, 1400, 1400, 9000, 9000, 64, 64, 63];
    const datagram = (index: number) =>
      Buffer.alloc(sizes[index % sizes.length] ?? 0, String.fromCharCode(65 + (index % 26)));
    const check = async (from: UdpSocket, count: number) => {
      for (let index = 0; index < count; index++) {
        const { bytes } = await from.receive();
        expect(bytes.equals(datagram(index))).toBe(true);
      }
    };
    for (let round = 0; round < DATAGRAMS / 50; round++) {
      await forwarding.agent.frozen(() => {
        for (let index = 0; index < 50; index++) {
          client.send(datagram(index));
          server.answer(hello, datagram(index));
        }
      });
      await Promise.all([check(server, 50), check(client, 50)]);
    }
  });

  it('that the sender left to be cut up come out as they were meant', async () => {
    const { client, server } = await pair();
    const hello = await expectGreeting(client, server);
    const sent = Buffer.from(Array.from({ length: 20_500 }, (_, index) => index % 251));
    client.send(sent, { segment: 1000 });
    for (let at = 0; at < sent.length; at += 1000) {
      expect((await server.receive()).bytes.equals(sent.subarray(at, at + 1000))).toBe(true);
    }
    server.send(sent, { to: hello.from, segment: 1000 });
    for (let at = 0; at < sent.length; at += 1000) {
      expect((await client.receive()).bytes.equals(sent.subarray(at, at + 1000))).toBe(true);
    }
  });

  it('that a path takes in fragments only go there one by one', async () => {
    const container = await makeClient(test, forwarding.namespace);
    await runIn(forwarding.namespace, ['ip', 'link', 'set', 'client0', 'mtu', '1280']);
    const fd = await new SocketsInside(test, container, IPPROTO_UDP).take(AF_INET);
    const server = new UdpSocket(test, fd, AF_INET).bind(CLIENT_ADDRESS.v4);
    const port = await forwarding.publish(server.port, { childIP: CLIENT_ADDRESS.v4 });
    const client = udpSocket(test).connect('127.0.0.1', port);
    await expectGreeting(client, server);
    const sent = Array.from({ length: 40 }, (_, index) => Buffer.alloc(1400, index));
    for (let round = 0; round < 2; round++) {
      await forwarding.agent.frozen(() => sent.forEach((datagram) => client.send(datagram)));
      for (const datagram of sent) {
        expect((await server.receive()).bytes.equals(datagram)).toBe(true);
      }
    }
  });

  it('of clients that take turns reach the server in the order of each', async () => {
    const { client, server, port } = await pair();
    const other = udpSocket(test).connect('127.0.0.1', port);
    await expectGreeting(client, server);
    await expectGreeting(other, server);
    await forwarding.agent.frozen(() => {
      for (let index = 0; index < 20; index++) {
        client.send(`a${index}`);
        other.send(`b${index}`);
      }
    });
    const received: string[] = [];
    while (received.length < 40) received.push(await server.receiveText());
    for (const name of ['a', 'b']) {
      const expected = Array.from({ length: 20 }, (_, index) => `${name}${index}`);
      expect(received.filter((text) => text.startsWith(name))).toEqual(expected);
    }
  });

  it('answer to a client on the address that it asked, one of many', async () => {
    const server = await forwarding.server(test);
    const port = await forwarding.publish(server.port, { parentIP: '' });
    for (const ip of ['127.0.0.1', '127.0.0.5', '127.1.2.3', '::1']) {
      const client = await udpClient(test, ip.includes(':') ? '::1' : '127.0.0.1');
      await client.send('question', port, ip);
      server.answer(await server.receive(), 'answer');
      expect(await next(client)).toEqual({ text: 'answer', address: ip, port });
    }
  });

  it('of a server that was not asked reach the client while the session lives', async () => {
    const { client, server } = await pair();
    const hello = await expectGreeting(client, server);
    for (const text of ['one', 'two', 'three']) server.answer(hello, text);
    for (const text of ['one', 'two', 'three']) expect(await client.receiveText()).toBe(text);
  });

  it('of a client that moves to another port are a session of their own', async () => {
    const { client, server, port } = await pair();
    const before = await expectGreeting(client, server);
    const moved = udpSocket(test).connect('127.0.0.1', port);
    const after = await expectGreeting(moved, server);
    expect(after.from).not.toEqual(before.from);
    server.answer(before, 'to the old place');
    server.answer(after, 'to the new place');
    expect(await client.receiveText()).toBe('to the old place');
    expect(await moved.receiveText()).toBe('to the new place');
  });

  it('of one client to two ports of one server are answered from both', async () => {
    const { server, port } = await pair();
    const other = await forwarding.publish(server.port);
    const client = await udpClient(test);
    for (const at of [port, other]) {
      await client.send(`to ${at}`, at, '127.0.0.1');
      const question = await server.receive();
      server.answer(question, question.bytes);
      expect(await next(client)).toEqual({ text: `to ${at}`, address: '127.0.0.1', port: at });
    }
  });

  it('to a dead server are refused and counted, and disturb nobody else', async () => {
    const gone = await forwarding.server(test);
    const deadPort = await forwarding.publish(gone.port);
    const wasOn = gone.port;
    gone.close();
    const lost = udpSocket(test).connect('127.0.0.1', deadPort);
    const { client, server } = await pair();
    for (let round = 0; round < 20; round++) {
      lost.send('anybody?').send('anybody at all?');
      const hello = await expectGreeting(client, server);
      server.answer(hello, 'yes');
      expect(await client.receiveText()).toBe('yes');
    }
    expect((await forwarding.stats()).drops['refused']).toBeGreaterThan(0);
    const reborn = await forwarding.server(test, '127.0.0.1', wasOn);
    lost.send('there you are');
    let text = await reborn.receiveText();
    while (text.startsWith('anybody')) text = await reborn.receiveText();
    expect(text).toBe('there you are');
  });

  it('reach a server that was restarted, in the session that they were in', async () => {
    const { client, server } = await pair();
    const hello = await expectGreeting(client, server);
    server.answer(hello, 'hello yourself');
    expect(await client.receiveText()).toBe('hello yourself');
    const at = server.port;
    server.close();
    client.send('lost');
    await forwarding.untilStats('a refusal', ({ drops }) => (drops['refused'] ?? 0) > 0);
    const again = await forwarding.server(test, '127.0.0.1', at);
    const { from } = await expectGreeting(client, again);
    expect(from).toEqual(hello.from);
  });

  it('find the server on the other loopback address, the first one included', async () => {
    const server = await forwarding.server(test, '::1');
    const port = await forwarding.publish(server.port, { parentIP: '', childIP: '' });
    const client = udpSocket(test).connect('127.0.0.1', port);
    expect((await expectGreeting(client, server)).from.ip).toBe('::1');
  });
});
