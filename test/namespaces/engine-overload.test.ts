import { expect, it } from 'vitest';
import { errnoName } from '../../dist/msg/fd.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { describeWith, perTest } from '../harness/suite.js';
import { type Pair, startForwarding } from '../harness/tcp-forwarding.js';
import { readable } from '../harness/tcp-kernel.js';
import { type TcpSocket, connect } from '../harness/tcp-socket.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 30_000;
/** Flows that the lowered limit leaves room for, each of which has two fds. */
const ROOM = 4;
const CLIENTS = 16;
/** Of 10 ms each, in the 1.2 s or more that it takes to shed the others: a busy loop takes 120. */
const MOST_TICKS = 40;

/** Each number below is taken, so that none can be had. */
const NO_FDS = 3;

const CHURN_BATCHES = 50;
const BATCH = 100;

describeWith([userNamespaces, tool('ip'), tool('prlimit')], 'an agent under load', () => {
  const test = perTest();

  it('out of file descriptors resets what is new, and goes on with the rest', async () => {
    const forwarding = await startForwarding(test);
    const { agent } = forwarding;
    const old = await forwarding.connection(test);
    const listener = await forwarding.listen(test);
    const port = await forwarding.publish(listener.port);
    await agent.limitFds(agent.fds().length + 2 * ROOM);
    const ticksBefore = agent.cpuTicks();

    const clients = Array.from({ length: CLIENTS }, () => connect(test, port));
    const { served, shed } = await sort(clients, listener);
    expect(served.length).toBeLessThanOrEqual(ROOM);
    expect(served.length).toBeGreaterThan(0);
    expect(shed).toEqual(shed.map(() => 'ECONNRESET'));
    expect((await forwarding.stats()).shed).toBeGreaterThan(0);
    expect(agent.cpuTicks() - ticksBefore).toBeLessThan(MOST_TICKS);

    await expectAnswer(old);
    for (const pair of served) await expectAnswer(pair);

    for (const { client, server } of served) [client, server].forEach((socket) => socket.close());
    await until(
      async () => (await forwarding.stats()).flows === 1,
      DEADLINE_MS,
      'the end of the flows that were served',
    );
    const client = connect(test, port);
    await expectAnswer({ client, server: await listener.accept(test) });
  });

  it('out of file descriptors resets the flow of a port that was removed meanwhile', async () => {
    const forwarding = await startForwarding(test);
    const { agent } = forwarding;
    // Of two addresses to try the first one doesn't answer: its backlog is full.
    const listener = await forwarding.listen(test, '::1', 0, 0);
    const port = await forwarding.publish(listener.port, { parentIP: '::1', childIP: '' });
    const clients = [connect(test, port, '::1')];
    await readable(test, listener);
    clients.push(connect(test, port, '::1'));
    const areForwarded = async () => (await forwarding.stats()).flows === clients.length;
    await until(areForwarded, DEADLINE_MS, 'a flow that waits');

    await forwarding.unpublish(port);
    await agent.limitFds(NO_FDS);
    listener.close();
    for (const client of clients) expect((await client.outcome()).end).toBe('ECONNRESET');
    await forwarding.idle();
    expect(forwarding.agent.pid).toBe(agent.pid);
  });

  it('keeps no file descriptor of 5,000 connections, a third of them reset', async () => {
    const forwarding = await startForwarding(test);
    const listener = await forwarding.listen(test);
    const port = await forwarding.publish(listener.port);
    const fdsBefore = forwarding.agent.fds().length;
    for (let batch = 0; batch < CHURN_BATCHES; batch++) {
      const clients = Array.from({ length: BATCH }, () => connect(test, port));
      const servers: TcpSocket[] = [];
      for (const client of clients) client.send('?');
      while (servers.length < BATCH) servers.push(await listener.accept(test));
      for (const [index, server] of servers.entries()) {
        await server.expect('?');
        server.send('!');
        if (index % 3 === 0) server.reset();
        else server.close();
      }
      for (const client of clients) {
        expect((await client.outcome()).text).toBe('!');
        client.close();
      }
    }
    await forwarding.idle();
    expect((await forwarding.stats()).accepted).toBe(CHURN_BATCHES * BATCH);
    await until(
      () => forwarding.agent.fds().length <= fdsBefore,
      DEADLINE_MS,
      `${fdsBefore} fds as before`,
    );
  });

  /** Which of the clients reach the server, and how the others end. */
  async function sort(clients: readonly TcpSocket[], listener: TcpSocket) {
    const served: Pair[] = [];
    const waiting: TcpSocket[] = [];
    const shed: string[] = [];
    const open = new Map(clients.map((client, index) => [index, client]));
    for (const [index, client] of open) {
      const sent = client.send(Uint8Array.of(index));
      if (sent > 0) continue;
      // It is gone already; the error is given once.
      open.delete(index);
      shed.push(errnoName(sent));
    }
    const step = () => {
      for (const [index, client] of open) {
        const received = client.receive();
        if (received === undefined) continue;
        open.delete(index);
        shed.push(String(received));
      }
      for (let server = listener.tryAccept(test); server; server = listener.tryAccept(test)) {
        waiting.push(server);
      }
      for (const server of waiting) {
        const received = server.receive(1);
        if (!Buffer.isBuffer(received)) continue;
        const index = received[0] ?? -1;
        served.push({ client: open.get(index) as TcpSocket, server });
        open.delete(index);
      }
      return open.size === 0;
    };
    await until(step, DEADLINE_MS, 'the fate of every client');
    return { served, shed };
  }
});

async function expectAnswer({ client, server }: Pair): Promise<void> {
  client.send('question');
  await server.expect('question');
  server.send('answer');
  await client.expect('answer');
}
