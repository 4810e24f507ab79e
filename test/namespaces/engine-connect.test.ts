import { beforeAll, expect, it } from 'vitest';
import { tool, userNamespaces } from '../harness/needs.js';
import { run } from '../harness/processes.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { type Forwarding, startForwarding } from '../harness/tcp-forwarding.js';
import { connect, type TcpSocket } from '../harness/tcp-socket.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 15_000;
const RESET = { text: '', end: 'ECONNRESET' };

describeWith([userNamespaces, tool('ip'), tool('ss')], 'connecting to the server', () => {
  const suite = perSuite();
  const test = perTest();
  let forwarding: Forwarding;

  beforeAll(async () => {
    forwarding = await startForwarding(suite);
  });

  /** A port of the namespace that nobody listens on. */
  async function closedPort(): Promise<number> {
    const socket = await forwarding.unboundInside(test);
    const { port } = socket.bind('127.0.0.1', 0);
    socket.close();
    return port;
  }

  it('resets the client when the server refuses', async () => {
    const before = (await forwarding.stats()).refused;
    const client = connect(test, await forwarding.publish(await closedPort()));
    expect(await client.outcome()).toEqual(RESET);
    await forwarding.idle();
    expect((await forwarding.stats()).refused).toBe(before + 1);
  });

  it('resets a client that sent something to a server that refuses', async () => {
    const port = await forwarding.publish(await closedPort());
    const client = await forwarding.agent.frozen(() => {
      const socket = connect(test, port);
      socket.send('question');
      return socket;
    });
    expect(await client.outcome()).toEqual(RESET);
  });

  it('resets the client when there is no route to the server', async () => {
    const client = connect(test, await forwarding.publish(80, { childIP: '198.51.100.1' }));
    expect(await client.outcome()).toEqual(RESET);
    await forwarding.idle();
  });

  it('waits for a server that accepts late, and keeps what the client sent', async () => {
    const listener = await forwarding.listen(test);
    const client = connect(test, await forwarding.publish(listener.port));
    client.send('patience');
    const isForwarded = async () => (await forwarding.stats()).flows === 1;
    await until(isForwarded, DEADLINE_MS, 'a flow');
    await until(() => client.unacknowledged === 0, DEADLINE_MS, 'delivery to the agent');
    const server = await listener.accept(test);
    await server.expect('patience');
    server.send('rewarded');
    server.finish();
    expect(await client.outcome()).toEqual({ text: 'rewarded', end: 'FIN' });
  });

  it('waits for a server whose backlog is full', async () => {
    const listener = await forwarding.listen(test, '127.0.0.1', 0, 0);
    const port = await forwarding.publish(listener.port);
    const clients = Array.from({ length: 3 }, () => connect(test, port));
    for (const client of clients) client.send('hello');
    for (const _ of clients) {
      const server = await listener.accept(test);
      await server.expect('hello');
      server.close();
    }
    for (const client of clients) expect(await client.outcome()).toEqual({ text: '', end: 'FIN' });
  });

  it('falls back from 127.0.0.1 to ::1 where childIP is empty', async () => {
    const listener = await forwarding.listen(test, '::1');
    const port = await forwarding.publish(listener.port, { parentIP: '::', childIP: '' });
    expect(await answerOf(listener, connect(test, port, '::1'))).toBe('answer');
  });

  it('falls back from ::1 to 127.0.0.1 where childIP is empty', async () => {
    const listener = await forwarding.listen(test, '127.0.0.1');
    const port = await forwarding.publish(listener.port, { parentIP: '::1', childIP: '' });
    expect(await answerOf(listener, connect(test, port, '::1'))).toBe('answer');
  });

  it('resets the client when both loopback addresses refuse', async () => {
    const childPort = await closedPort();
    const port = await forwarding.publish(childPort, { parentIP: '::1', childIP: '' });
    expect(await connect(test, port, '::1').outcome()).toEqual(RESET);
    await forwarding.idle();
  });

  it('of one port is not held up by a port whose server takes nothing', async () => {
    const stuck = await forwarding.listen(test, '127.0.0.1', 0, 0);
    const stuckPort = await forwarding.publish(stuck.port);
    const waiting = Array.from({ length: 20 }, () => connect(test, stuckPort));
    const areForwarded = async () => (await forwarding.stats()).flows === waiting.length;
    await until(areForwarded, DEADLINE_MS, 'flows that wait');

    const listener = await forwarding.listen(test);
    const client = connect(test, await forwarding.publish(listener.port));
    expect(await answerOf(listener, client)).toBe('answer');
    expect((await forwarding.stats()).flows).toBeGreaterThanOrEqual(waiting.length - 1);
  });

  it('keeps a connection that is open when its port is removed', async () => {
    const listener = await forwarding.listen(test);
    const port = await forwarding.publish(listener.port);
    const client = connect(test, port);
    const server = await listener.accept(test);
    await forwarding.unpublish(port);
    client.send('still');
    await server.expect('still');
    server.send('here');
    await client.expect('here');
    expect(await connect(test, port).outcome()).toEqual({ text: '', end: 'ECONNREFUSED' });
  });

  it('turns on keepalive towards the client and the server', async () => {
    const listener = await forwarding.listen(test);
    const port = await forwarding.publish(listener.port);
    connect(test, port);
    await listener.accept(test);
    const list = ['ss', '-tnoH', 'state', 'established'];
    expect(await run([...list, 'sport', '=', `:${port}`])).toContain('timer:(keepalive,');
    const inside = await forwarding.run([...list, 'dport', '=', `:${listener.port}`]);
    expect(inside).toContain('timer:(keepalive,');
  });

  /** What the client gets after it has asked. */
  async function answerOf(listener: TcpSocket, client: TcpSocket): Promise<string> {
    const server = await listener.accept(test);
    client.send('question');
    await server.expect('question');
    server.send('answer');
    server.finish();
    return (await client.outcome()).text;
  }
});
