/** What forwarding takes for granted about SCTP sockets, so that a kernel that differs says where. */
import { describe, expect, it } from 'vitest';
import * as linux from '../../dist/msg/linux.js';
import * as abi from '../harness/sctp-abi.js';
import { type SctpSocket, connectSctp, listenSctp, unboundSctp } from '../harness/sctp-socket.js';
import { perTest } from '../harness/suite.js';
import { KernelPoll, readable } from '../harness/tcp-kernel.js';
import { payload } from '../harness/tcp-payload.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 15_000;
const MIB = 1 << 20;
const EMSGSIZE = -90;
const { EPOLLET, EPOLLOUT, SOL_SOCKET, SO_SNDBUF } = linux;

/** Sends until the kernel takes no more. Returns how many messages it took. */
function fill(socket: SctpSocket): number {
  let count = 0;
  while (socket.send(new Uint8Array(8192)) > 0) count++;
  return count;
}

describe('the kernel', () => {
  const test = perTest();

  async function pair(prepare: (listener: SctpSocket, client: SctpSocket) => void = () => {}) {
    const listener = unboundSctp(test);
    const client = unboundSctp(test);
    prepare(listener, client);
    listener.bind('127.0.0.1', 0).listen(1);
    client.connect('127.0.0.1', listener.port);
    return { client, server: await listener.accept(test) };
  }

  it.each(['127.0.0.1', '::1'])('carries messages with all their labels, on %s', async (ip) => {
    const listener = listenSctp(test, ip);
    const client = connectSctp(test, listener.port, ip);
    const [there, back] = [
      { data: Buffer.from('hello'), stream: 9, ppid: 0x01020304, unordered: true },
      { data: Buffer.from('good day'), stream: 3, ppid: 0xfffffffe, unordered: false },
    ];
    await client.deliver(there.data, there);
    const server = await listener.accept(test);
    expect(server.peer).toEqual({ ip, port: client.port });
    expect(await server.message()).toEqual(there);
    await server.deliver(back.data, back);
    expect(await client.message()).toEqual(back);
  });

  it('takes clients of both families at one IPv6 socket', async () => {
    const listener = unboundSctp(test, '::').setOption(linux.IPPROTO_IPV6, linux.IPV6_V6ONLY, 0);
    listener.bind('::', 0).listen(1);
    const clients = ['127.0.0.1', '::1'].map((ip) => connectSctp(test, listener.port, ip));
    const peers = [await listener.accept(test), await listener.accept(test)];
    expect(clients).toHaveLength(2);
    expect(new Set(peers.map(({ peer }) => peer?.ip))).toEqual(new Set(['::ffff:7f00:1', '::1']));
  });

  it('lets sockets of both families have one port, where the IPv6 one is for IPv6 alone', () => {
    const { port } = listenSctp(test, '0.0.0.0');
    const other = unboundSctp(test, '::').setOption(linux.IPPROTO_IPV6, linux.IPV6_V6ONLY, 1);
    expect(other.bind('::', port).listen(1).port).toBe(port);
  });

  it('gives each direction the smaller number of streams of what both ends want', async () => {
    const { client, server } = await pair((listening, connecting) => {
      listening.askFor({ in: 5, out: 7 });
      connecting.askFor({ in: 11, out: 20 });
    });
    expect(server.streams).toEqual({ in: 5, out: 7 });
    expect(client.streams).toEqual({ in: 7, out: 5 });
    expect(client.send('x', { stream: 5 })).toBe(linux.EINVAL);
  });

  it('passes the options of a listening socket on to those that it accepts', async () => {
    const options = [
      [abi.IPPROTO_SCTP, abi.SCTP_NODELAY, 1],
      [abi.IPPROTO_SCTP, abi.SCTP_RECVRCVINFO, 1],
      [abi.IPPROTO_SCTP, abi.SCTP_PARTIAL_DELIVERY_POINT, 4321],
      [SOL_SOCKET, SO_SNDBUF, 2 * 54_321],
    ] as const;
    const { client, server } = await pair((listener) => {
      for (const [level, name, value] of options) {
        listener.setOption(level, name, name === SO_SNDBUF ? value / 2 : value);
      }
      listener.subscribe(abi.SCTP_SHUTDOWN_EVENT);
    });
    for (const [level, name, value] of options) expect(server.option(level, name)).toBe(value);
    client.finish();
    expect(await server.event(abi.SCTP_SHUTDOWN_EVENT)).toBeDefined();
  });

  it('gives a message in parts, the last of them marked, to a smaller buffer', async () => {
    const { client, server } = await pair();
    await client.deliver('123456789', { stream: 2, ppid: 7 });
    await readable(test, server);
    const parts = [4, 4, 4].map((most) => server.receive(most));
    expect(parts).toMatchObject([
      { data: Buffer.from('1234'), isLast: false, stream: 2, ppid: 7 },
      { data: Buffer.from('5678'), isLast: false, stream: 2, ppid: 7 },
      { data: Buffer.from('9'), isLast: true, stream: 2, ppid: 7 },
    ]);
  });

  it('sends no empty message', async () => {
    const { client } = await pair();
    expect(client.send('')).toBe(linux.EINVAL);
  });

  it('sends no message that is larger than the send buffer, and 1 MiB where that is as large', async () => {
    const { client, server } = await pair();
    expect(client.send(payload(0, client.option(SOL_SOCKET, SO_SNDBUF) + 1))).toBe(EMSGSIZE);
    client.setOption(SOL_SOCKET, SO_SNDBUF, MIB);
    const message = payload(0, MIB);
    await client.deliver(message);
    expect((await server.message()).data.equals(message)).toBe(true);
  });

  it('gives the start of a message before its end, and tells when an ABORT cuts it', async () => {
    const { client, server } = await pair((listener) =>
      listener.subscribe(abi.SCTP_PARTIAL_DELIVERY_EVENT, abi.SCTP_ASSOC_CHANGE),
    );
    client.setOption(SOL_SOCKET, SO_SNDBUF, MIB);
    await client.deliver(payload(0, MIB));
    const start = () => server.receive(1)?.kind === 'data';
    await until(start, DEADLINE_MS, 'the start of a message');
    client.reset();
    expect(await server.outcome()).toMatchObject({ messages: [], end: 'ECONNRESET' });
    expect(server.events).toMatchObject([
      { type: abi.SCTP_PARTIAL_DELIVERY_EVENT },
      { type: abi.SCTP_ASSOC_CHANGE, state: abi.SCTP_COMM_LOST },
    ]);
  });

  it('sends an ABORT for a close without lingering, which comes after what was sent', async () => {
    const { client, server } = await pair((listener) => listener.subscribe(abi.SCTP_ASSOC_CHANGE));
    await client.deliver('last');
    await readable(test, server);
    client.reset();
    const { messages, end } = await server.outcome();
    expect([messages.map(({ data }) => String(data)), end]).toEqual([['last'], 'ECONNRESET']);
    expect(server.events.at(-1)).toEqual({
      type: abi.SCTP_ASSOC_CHANGE,
      state: abi.SCTP_COMM_LOST,
    });
  });

  it('sends an ABORT for a close with messages unread', async () => {
    const { client, server } = await pair();
    await client.deliver('unread');
    await readable(test, server);
    server.close();
    expect(await client.outcome()).toEqual({ messages: [], cutBytes: 0, end: 'ECONNRESET' });
  });

  it('delivers what was sent before a SHUTDOWN, then ends both directions', async () => {
    const { client, server } = await pair((listener) =>
      listener.subscribe(abi.SCTP_SHUTDOWN_EVENT, abi.SCTP_ASSOC_CHANGE),
    );
    for (const text of ['one', 'two']) await client.deliver(text);
    client.finish();
    const { messages, end } = await server.outcome();
    expect([messages.map(({ data }) => String(data)), end]).toEqual([['one', 'two'], 'FIN']);
    expect(server.events).toEqual([
      { type: abi.SCTP_ASSOC_CHANGE, state: abi.SCTP_COMM_UP },
      { type: abi.SCTP_SHUTDOWN_EVENT },
      { type: abi.SCTP_ASSOC_CHANGE, state: abi.SCTP_SHUTDOWN_COMP },
    ]);
    expect(await client.outcome()).toEqual({ messages: [], cutBytes: 0, end: 'FIN' });
    for (const socket of [client, server]) expect(socket.send('late')).toBe(linux.EPIPE);
  });

  it('lets the other side of a SHUTDOWN say all that it has queued, and no more', async () => {
    const { client, server } = await pair((listener) =>
      listener.subscribe(abi.SCTP_SHUTDOWN_EVENT),
    );
    const queued = fill(server);
    client.finish();
    await server.event(abi.SCTP_SHUTDOWN_EVENT);
    const { messages, end } = await client.outcome();
    expect([messages.length, end]).toEqual([queued, 'FIN']);
    expect(server.send('late')).toBe(linux.EPIPE);
  });

  it('gives the side that shut down no end to read, but a notification', async () => {
    const { client, server } = await pair((_, connecting) =>
      connecting.subscribe(abi.SCTP_ASSOC_CHANGE),
    );
    client.finish();
    expect((await server.outcome()).end).toBe('FIN');
    const isOver = () => {
      const got = client.receive();
      return got?.kind === 'event' && got.event.state === abi.SCTP_SHUTDOWN_COMP;
    };
    await until(isOver, DEADLINE_MS, 'SHUTDOWN_COMP');
    expect(client.receive()).toBeUndefined();
  });

  it('refuses an association to a port without a listener at once', async () => {
    const listener = listenSctp(test);
    const { port } = listener;
    listener.close();
    const client = connectSctp(test, port);
    expect(await client.outcome()).toEqual({ messages: [], cutBytes: 0, end: 'ECONNREFUSED' });
  });

  it('gives an edge when there is room again after a send that was refused', async () => {
    const { client, server } = await pair();
    const poll = new KernelPoll(test);
    poll.add(client, EPOLLOUT | EPOLLET);
    expect(await poll.next()).toBe(EPOLLOUT);
    expect(fill(client)).toBeGreaterThan(0);
    poll.poll();
    const isWritable = () => {
      server.next();
      return poll.poll() === EPOLLOUT;
    };
    await until(isWritable, DEADLINE_MS, 'room to send');
  });
});
