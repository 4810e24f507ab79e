/** What the engine takes for granted about TCP sockets, so that a kernel that differs says where. */
import { describe, expect, it } from 'vitest';
import * as linux from '../../dist/msg/linux.js';
import { perTest } from '../harness/suite.js';
import { KernelPipe, KernelPoll } from '../harness/tcp-kernel.js';
import {
  MSG_OOB,
  type TcpSocket,
  connect,
  fill,
  listenHere,
  unbound,
} from '../harness/tcp-socket.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 10_000;
const { EPOLLET, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP } = linux;

describe('the kernel', () => {
  const test = perTest();

  async function pair() {
    const listener = listenHere(test).setOption(linux.SOL_SOCKET, linux.SO_OOBINLINE, 1);
    const client = connect(test, listener.port);
    return { client, server: await listener.accept(test) };
  }

  /** A socket with urgent data behind other data, and what `afterwards` sends behind both. */
  async function urgent(afterwards: (client: TcpSocket) => void) {
    const { client, server } = await pair();
    const poll = new KernelPoll(test);
    poll.add(server, EPOLLIN | EPOLLPRI | EPOLLET);
    client.send('before');
    client.send('!', MSG_OOB);
    afterwards(client);
    await until(() => server.waiting > 'before'.length, DEADLINE_MS, 'all of it');
    return { server, poll };
  }

  it('gives one edge for data and the FIN behind it, which a short recv does not show', async () => {
    const { client, server } = await pair();
    const poll = new KernelPoll(test);
    poll.add(server, EPOLLIN | EPOLLRDHUP | EPOLLET);
    client.send('last');
    client.finish();
    expect(await poll.next()).toBe(EPOLLIN | EPOLLRDHUP);
    expect(String(server.receive())).toBe('last');
    expect(poll.poll()).toBe(0);
    expect(server.receive()).toBe('FIN');
  });

  it('gives an edge when there is room again after a send that was cut short', async () => {
    const { client, server } = await pair();
    const poll = new KernelPoll(test);
    poll.add(client, EPOLLOUT | EPOLLET);
    expect(await poll.next()).toBe(EPOLLOUT);
    fill(client);
    poll.poll();
    await until(
      () => {
        server.receive();
        return poll.poll() === EPOLLOUT;
      },
      DEADLINE_MS,
      'room to send',
    );
  });

  it('keeps what came before a reset readable, then gives the reset once', async () => {
    const { client, server } = await pair();
    client.send('last words');
    client.reset();
    expect(await server.outcome()).toEqual({ text: 'last words', end: 'ECONNRESET' });
    expect(server.receive()).toBe('FIN');
  });

  it('makes a reset look like a FIN once SO_ERROR was read', async () => {
    const { client, server } = await pair();
    client.reset();
    expect(-server.option(linux.SOL_SOCKET, linux.SO_ERROR)).toBe(linux.ECONNRESET);
    expect(server.receive()).toBe('FIN');
  });

  it('tells a refused connect from one that was reset after it', async () => {
    const listener = listenHere(test);
    const { port } = listener;
    const late = connect(test, port);
    (await listener.accept(test)).reset();
    expect(-late.option(linux.SOL_SOCKET, linux.SO_ERROR)).toBe(linux.ECONNRESET);
    listener.close();
    expect(await connect(test, port).outcome()).toEqual({ text: '', end: 'ECONNREFUSED' });
  });

  it('passes the options of a listening socket on to those that it accepts', async () => {
    const options = [
      [linux.SOL_SOCKET, linux.SO_OOBINLINE, 1],
      [linux.SOL_SOCKET, linux.SO_KEEPALIVE, 1],
      [linux.IPPROTO_TCP, linux.TCP_NODELAY, 1],
      [linux.IPPROTO_TCP, linux.TCP_KEEPIDLE, 61],
      [linux.IPPROTO_TCP, linux.TCP_KEEPINTVL, 16],
      [linux.IPPROTO_TCP, linux.TCP_KEEPCNT, 7],
    ] as const;
    const listener = listenHere(test);
    for (const [level, name, value] of options) listener.setOption(level, name, value);
    connect(test, listener.port);
    const accepted = await listener.accept(test);
    for (const [level, name, value] of options) expect(accepted.option(level, name)).toBe(value);
  });

  it('empties SIOCOUTQ when the peer has acknowledged, read or not', async () => {
    const { client, server } = await pair();
    client.send('unread');
    await until(() => client.unacknowledged === 0, DEADLINE_MS, 'an acknowledgement');
    expect(server.waiting).toBe('unread'.length);
  });

  it('completes a connection in the backlog of a listener that nobody accepts from', async () => {
    const listener = listenHere(test);
    const client = connect(test, listener.port);
    client.send('hello');
    await until(() => client.unacknowledged === 0, DEADLINE_MS, 'an acknowledgement');
    await (await listener.accept(test)).expect('hello');
  });

  describe('at urgent data that stays in line', () => {
    it('stops recv early, and reports EPOLLPRI', async () => {
      const { server, poll } = await urgent((client) => client.send('after'));
      expect((await poll.next()) & EPOLLPRI).toBe(EPOLLPRI);
      expect(String(server.receive())).toBe('before');
      expect(poll.poll()).toBe(0);
      expect(String(server.receive())).toBe('!after');
    });

    it('stops splice with EAGAIN, with bytes behind it', async () => {
      const { server } = await urgent((client) => client.send('after'));
      const pipe = new KernelPipe(test);
      expect(pipe.fillFrom(server)).toBe('before'.length);
      expect(pipe.fillFrom(server)).toBe(linux.EAGAIN);
      expect(String(server.receive())).toBe('!after');
    });

    it('stops splice with 0 where a FIN is queued, with bytes before it', async () => {
      const { server } = await urgent((client) => client.finish());
      const pipe = new KernelPipe(test);
      expect(pipe.fillFrom(server)).toBe('before'.length);
      await until(() => pipe.fillFrom(server) === 0, DEADLINE_MS, 'the FIN');
      expect(await server.outcome()).toEqual({ text: '!', end: 'FIN' });
    });
  });

  it('raises no SIGPIPE that ends Node.js when a splice meets a reset', async () => {
    const { client, server } = await pair();
    const pipe = new KernelPipe(test);
    server.send('bytes');
    await until(() => client.waiting > 0, DEADLINE_MS, 'bytes');
    pipe.fillFrom(client);
    server.reset();
    await until(() => client.receive() === 'ECONNRESET', DEADLINE_MS, 'the reset');
    expect(pipe.drainTo(client)).toBe(linux.EPIPE);
  });

  it('makes pipes of the size that is asked for', () => {
    const pipe = new KernelPipe(test);
    expect(pipe.resize(256 * 1024)).toBe(256 * 1024);
  });

  it('tells a listening socket from another one', () => {
    expect(unbound(test).option(linux.SOL_SOCKET, linux.SO_ACCEPTCONN)).toBe(0);
    expect(listenHere(test).option(linux.SOL_SOCKET, linux.SO_ACCEPTCONN)).toBe(1);
  });
});
