/** Looking into a port: its flows one by one, counted to the byte. */
import { beforeAll, expect, it } from 'vitest';
import { userNamespaces } from '../harness/needs.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { type Forwarding, startForwarding } from '../harness/tcp-forwarding.js';
import { connect, connectSocket, fill, unbound } from '../harness/tcp-socket.js';
import { startUdpForwarding, type UdpForwarding } from '../harness/udp-forwarding.js';
import { udpSocket } from '../harness/udp-socket.js';
import { until } from '../harness/wait.js';
import { expectExchange } from './udp-support.js';

const DEADLINE_MS = 15_000;
const HERE = '127.0.0.1';
const LONG = 300_000;
const NONE = { total: 0, flows: [] };

describeWith([userNamespaces], 'the connections of a port', () => {
  const suite = perSuite();
  const test = perTest();
  let forwarding: Forwarding;

  beforeAll(async () => {
    forwarding = await startForwarding(suite);
  });

  it('are told of with both addresses, what they have moved and how they stand', async () => {
    const listener = await forwarding.listen(test);
    const port = await forwarding.publish(listener.port);
    expect(await forwarding.flows(port)).toEqual(NONE);
    const client = connect(test, port);
    const server = await listener.accept(test);
    const told = async () => (await forwarding.flows(port)).flows[0];
    await until(async () => ((await told())?.ageMs ?? 0) > 100, DEADLINE_MS, 'an older flow');

    client.send('question');
    await server.expect('question');
    for (let left = LONG; left > 0; ) {
      left -= Math.max(0, server.send(new Uint8Array(Math.min(left, 65_536))));
      client.receive();
    }
    const hasAll = async () => (await told())?.bytesOut === LONG;
    await until(
      async () => {
        client.receive();
        return hasAll();
      },
      DEADLINE_MS,
      `${LONG} bytes`,
    );
    const { total, flows } = await forwarding.flows(port);
    expect(total).toBe(1);
    const { ageMs = 0, idleMs = 0 } = flows[0] ?? {};
    expect(flows).toEqual([
      {
        agent: forwarding.agent.pid,
        id: expect.any(Number) as number,
        client: { ip: HERE, port: client.port },
        server: { ip: HERE, port: listener.port },
        state: 'open',
        ageMs,
        idleMs,
        bytesIn: 'question'.length,
        bytesOut: LONG,
        packetsIn: 0,
        packetsOut: 0,
      },
    ]);
    expect(idleMs).toBeLessThan(ageMs - 50);

    server.finish();
    await until(async () => (await told())?.state === 'half-closed', DEADLINE_MS, 'its FIN');
    client.close();
    await until(async () => (await forwarding.flows(port)).total === 0, DEADLINE_MS, 'its end');
  });

  it('are those of that port alone, also of one that leads to the same server', async () => {
    const listener = await forwarding.listen(test);
    const ports = [
      await forwarding.publish(listener.port),
      await forwarding.publish(listener.port),
    ];
    const clients = ports.map((port) => connect(test, port));
    for (const _ of ports) await listener.accept(test);
    for (const [index, port] of ports.entries()) {
      const { total, flows } = await forwarding.flows(port);
      expect([total, flows.map(({ client }) => client.port)]).toEqual([1, [clients[index]?.port]]);
    }
  });

  it('are being dialled while the server has not answered', async () => {
    const listener = await forwarding.listen(test, HERE, 0, 0);
    const port = await forwarding.publish(listener.port);
    for (let count = 0; count < 3; count++) connect(test, port);
    const isDialling = async () =>
      (await forwarding.flows(port)).flows.find(
        ({ state, server }) => state === 'dialling' && server !== undefined,
      );
    const flow = await until(isDialling, DEADLINE_MS, 'a flow without an answer');
    expect(flow).toMatchObject({ server: { ip: HERE, port: listener.port }, bytesIn: 0 });
  });

  async function stateOf(port: number): Promise<string | undefined> {
    return (await forwarding.flows(port)).flows[0]?.state;
  }

  /** Of a flow whose client doesn't read, once its server was reset. */
  async function stateAfterReset(): Promise<string | undefined> {
    const listener = await forwarding.listen(test);
    const port = await forwarding.publish(listener.port);
    connectSocket(unbound(test).shrink(), port);
    const server = await listener.accept(test);
    fill(server);
    server.reset();
    await until(async () => (await stateOf(port)) !== 'open', DEADLINE_MS, 'the reset');
    return stateOf(port);
  }

  it('drain after a reset, until the other side has what came before', async () => {
    // For a moment only, which a busy machine may miss.
    expect(await until(stateAfterReset, DEADLINE_MS, 'a flow that drains')).toBe('draining');
  });

  it('are cut to those that have moved the most bytes', async () => {
    const listener = await forwarding.listen(test);
    const port = await forwarding.publish(listener.port);
    for (const text of ['12', '1234', '1', '123']) {
      connect(test, port).send(text);
      await (await listener.accept(test)).expect(text);
    }
    const told = async (most?: number) => {
      const { total, flows } = await forwarding.flows(port, most);
      return [total, flows.map(({ bytesIn }) => bytesIn)];
    };
    expect(await told()).toEqual([4, [4, 3, 2, 1]]);
    expect(await told(2)).toEqual([4, [4, 3]]);
  });

  it('are refused for a port that nobody has', async () => {
    const answer = await forwarding.flows(1).catch((error: unknown) => error);
    expect(answer).toMatchObject({
      code: 'ERR_PORT_ID',
      message: 'there is no port with ID 0; list-ports shows them',
    });
  });
});

describeWith([userNamespaces], 'the sessions of a port', () => {
  const suite = perSuite();
  const test = perTest();
  const UNREPLIED_MS = 4000;
  let forwarding: UdpForwarding;

  beforeAll(async () => {
    const udpTimeouts = { unrepliedMs: UNREPLIED_MS, repliedMs: 600_000 };
    forwarding = await startUdpForwarding(suite, { udpTimeouts });
  });

  it('are told of with both addresses and what they have moved, and not after their end', async () => {
    const server = await forwarding.server(test);
    udpSocket(test)
      .connect(HERE, await forwarding.publish(server.port))
      .send('elsewhere');
    await server.receive();
    const port = await forwarding.publish(server.port);
    const [asking, silent] = [udpSocket(test), udpSocket(test)].map((one) =>
      one.connect(HERE, port),
    );
    if (asking === undefined || silent === undefined) throw new Error('two were made');
    await expectExchange(asking, server);
    const age = async () => (await forwarding.flows(port)).flows[0]?.ageMs ?? 0;
    await until(async () => (await age()) > 100, DEADLINE_MS, 'an older session');
    for (let exchange = 0; exchange < 2; exchange++) await expectExchange(asking, server);
    // Merged by the kernel, and cut up again.
    asking.send(new Uint8Array(1000), { segment: 300 });
    for (let count = 0; count < 4; count++) await server.receive();
    silent.send('').send('hello');
    for (let count = 0; count < 2; count++) await server.receive();
    const { total, flows } = await forwarding.flows(port);
    expect(total).toBe(2);
    const { ageMs = 0, idleMs = 0 } = flows[0] ?? {};
    expect(flows[0]).toEqual({
      agent: forwarding.agent.pid,
      id: expect.any(Number) as number,
      client: { ip: HERE, port: asking.port },
      server: { ip: HERE, port: server.port },
      state: 'open',
      ageMs,
      idleMs,
      bytesIn: 3 * 'question'.length + 1000,
      bytesOut: 3 * 'answer'.length,
      packetsIn: 3 + 4,
      packetsOut: 3,
    });
    expect(idleMs).toBeLessThan(ageMs - 50);
    const silence = { client: { ip: HERE, port: silent.port }, bytesIn: 5, packetsIn: 2 };
    expect(flows[1]).toMatchObject({ ...silence, bytesOut: 0, packetsOut: 0 });

    const isAlone = async () => (await forwarding.flows(port)).total === 1;
    await until(isAlone, DEADLINE_MS, 'the end of the silent one');
    const [left] = (await forwarding.flows(port)).flows;
    expect(left?.client.port).toBe(asking.port);
    // By now it has said nothing for as long as the other one.
    expect(left?.idleMs).toBeGreaterThan(UNREPLIED_MS / 2);
    await forwarding.unpublish(port);
    await expect(forwarding.flows(port)).rejects.toMatchObject({ code: 'ERR_PORT_ID' });
  });

  it('count what went to every server that they tried, as the port does', async () => {
    const server = await forwarding.server(test, '::1');
    const port = await forwarding.publish(server.port, { parentIP: '', childIP: '' });
    const client = udpSocket(test).connect(HERE, port);
    await expectExchange(client, server);
    const { ports } = await forwarding.driver.snapshot();
    const counted = ports.find(({ spec }) => spec.parentPort === port);
    const told = await forwarding.flows(port);
    expect(told.flows[0]?.bytesIn).toBe(counted?.stats?.bytesIn);
    expect(told.flows[0]?.server).toEqual({ ip: '::1', port: server.port });
    expect(counted?.server).toEqual({ ip: '::1', port: server.port });
  });
});
