import { expect, it } from 'vitest';
import { limitsOf } from '../../src/child/udp/limits.js';
import { Cleanup } from '../harness/cleanup.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { describeWith, perTest } from '../harness/suite.js';
import { freePort } from '../harness/ports.js';
import { connect } from '../harness/tcp-socket.js';
import { type UdpForwarding, startUdpForwarding } from '../harness/udp-forwarding.js';
import { type UdpSocket, udpSocket } from '../harness/udp-socket.js';
import { until } from '../harness/wait.js';
import { expectExchange, expectGreeting } from './udp-support.js';

const FILES = 128;
const { perPort, perSource } = limitsOf(FILES);
/** Several times as many as there is room for. */
const FLOOD = 400;
/** Far less than the queue of a socket takes while nobody reads it. */
const WAVE = 50;
/** Each number below is taken, so that none can be had. */
const NO_FDS = 3;
const HERE = '127.0.0.1';
const DEADLINE_MS = 15_000;

describeWith([userNamespaces, tool('ip'), tool('prlimit')], 'UDP sessions', () => {
  const test = perTest();

  interface Started {
    readonly forwarding: UdpForwarding;
    readonly server: UdpSocket;
    readonly port: number;
    /** How many sessions the log says were shed because the table is full. */
    readonly told: () => number;
  }

  async function start(): Promise<Started> {
    let told = 0;
    const forwarding = await startUdpForwarding(test, {
      onEvent: (event) => {
        if (event.type === 'limitHit') told += event.flows.sessions ?? 0;
      },
    });
    await forwarding.agent.limitFds(FILES);
    const server = await forwarding.server(test);
    return { forwarding, server, port: await forwarding.publish(server.port), told: () => told };
  }

  const connected = (port: number) => udpSocket(test).connect(HERE, port);

  it.each([true, false])(
    'with an answer survive a flood, from everywhere: %s',
    async (isSpread) => {
      const { forwarding, server, port } = await start();
      const clients = Array.from({ length: 4 }, () => connected(port));
      const seen = [];
      for (const client of clients) seen.push((await expectExchange(client, server)).from);
      // Not every datagram is a session: ports that are free again are taken twice, queues overflow.
      await forwarding.untilStats('a flood', ({ accepted }) => {
        if (accepted >= FLOOD) return true;
        flood(port, { isSpread });
        while (server.tryReceive() !== undefined);
        return false;
      });
      const { accepted, flows, shed } = await forwarding.stats();
      expect(flows).toBe(isSpread ? perPort : perSource);
      expect(shed).toBe(accepted - flows);
      expect(forwarding.agent.sockets()).toBeLessThan(FILES);
      for (const [index, client] of clients.entries()) {
        expect((await expectExchange(client, server)).from).toEqual(seen[index]);
      }
    },
  );

  it('of another port have room during a flood', async () => {
    const { forwarding, server, port } = await start();
    const other = await forwarding.publish(server.port);
    flood(port, { isSpread: true });
    await expectExchange(connected(other), server);
    expect((await forwarding.stats()).flows).toBeLessThanOrEqual(perPort + 1);
  });

  it('that are finished make room for new ones', async () => {
    const { forwarding, server, port } = await start();
    for (let index = 0; index < 3 * perSource; index++)
      await expectExchange(connected(port), server);
    const { flows, drops } = await forwarding.stats();
    expect(flows).toBe(perSource);
    expect(drops['tableFull']).toBe(0);
  });

  it('of one client make room for its own new ones, the longest silent first', async () => {
    const { forwarding, server, port } = await start();
    const clients = Array.from({ length: perSource }, () => connected(port));
    for (const client of clients) await established(client, server);
    await established(connected(port), server);
    const { flows } = await forwarding.stats();
    expect(flows).toBe(perSource);
    const left = new Set((await forwarding.flows(port)).flows.map(({ client }) => client.port));
    expect(clients.filter((client) => !left.has(client.port))).toEqual(clients.slice(0, 1));
  });

  it('of two clients that fill a port make room for others at once, and the log tells', async () => {
    const { forwarding, server, port, told } = await start();
    const from = (ip: string) => udpSocket(test).bind(ip).connect(HERE, port);
    for (const ip of ['127.0.0.2', '127.0.0.3']) {
      for (let index = 0; index < perPort / 2; index++) await established(from(ip), server);
    }
    expect(await forwarding.stats()).toMatchObject({ flows: perPort, shed: 0 });
    const others = ['127.0.0.4', '127.0.0.5'].flatMap((ip) => [from(ip), from(ip), from(ip)]);
    for (const other of others) other.send('question');
    for (const other of others) {
      server.answer(await server.receive(), 'answer');
      expect(await other.receiveText()).toBe('answer');
    }
    const { flows, shed, drops } = await forwarding.stats();
    expect({ flows, shed }).toEqual({ flows: perPort, shed: others.length });
    expect(drops['tableFull']).toBe(0);
    await until(() => told() === others.length, DEADLINE_MS, 'what was shed in the log');
  });

  it('that are all in use, of clients within their shares, let no new one in, which is told', async () => {
    const { forwarding, server, port, told } = await start();
    const clients = Array.from({ length: perPort }, (_, index) =>
      udpSocket(test).bind(`127.0.1.${index}`).connect(HERE, port),
    );
    for (const client of clients) await established(client, server);
    connected(port).send('no room');
    await forwarding.untilStats('a drop', ({ drops }) => drops['tableFull'] === 1);
    for (const client of clients) await expectExchange(client, server);
    expect(await forwarding.stats()).toMatchObject({ flows: perPort, shed: 1 });
    await until(() => told() === 1, DEADLINE_MS, 'what was shed in the log');
  });

  it('over the limit of a port give way where nobody answered, and are shed where all are in use', async () => {
    const forwarding = await startUdpForwarding(test, { maxFlowsPerPort: 2 });
    const server = await forwarding.server(test);
    const port = await forwarding.publish(server.port);
    const client = connected(port);
    const other = udpSocket(test).bind('127.0.0.2').connect(HERE, port);
    await established(client, server);
    await expectGreeting(connected(port), server);
    await expectGreeting(connected(await forwarding.publish(server.port)), server);
    expect(await forwarding.stats()).toMatchObject({ flows: 3, shed: 0 });
    for (const one of [client, other]) await established(one, server);
    expect(await forwarding.stats()).toMatchObject({ flows: 3, shed: 1 });
    udpSocket(test).bind('127.0.0.3').connect(HERE, port).send('no room');
    await forwarding.untilStats('a drop', ({ drops }) => drops['tableFull'] === 1);
    for (const one of [client, other]) await established(one, server);
    expect(await forwarding.stats()).toMatchObject({ flows: 3, shed: 2 });
  });

  it('over the limit of all flows make room for connections, unless they are in use', async () => {
    const forwarding = await startUdpForwarding(test, { maxFlows: 2 });
    const server = await forwarding.server(test);
    const port = await forwarding.publish(server.port);
    const client = connected(port);
    await established(client, server);
    await expectGreeting(connected(port), server);
    const parentPort = await freePort();
    const spec = { parentIP: HERE, parentPort, childIP: HERE, childPort: parentPort };
    await forwarding.driver.addPort({ proto: 'tcp', ...spec });
    // It is let in, and then refused: nobody listens there.
    expect((await connect(test, parentPort).outcome()).end).toBe('ECONNRESET');
    const { transports } = await forwarding.driver.stats();
    expect(transports.tcp).toMatchObject({ accepted: 1, refused: 1, shed: 0 });
    expect(transports.udp).toMatchObject({ flows: 1, shed: 1 });
    await established(client, server);

    await forwarding.unpublish(port);
    const other = await forwarding.publish(server.port);
    for (const one of [connected(other), connected(other)]) await established(one, server);
    expect(await forwarding.stats()).toMatchObject({ flows: 2, shed: 1 });
  });

  it('for which there is no file descriptor are dropped and counted, the others go on', async () => {
    const { forwarding, server, port } = await start();
    const client = connected(port);
    const { from } = await expectExchange(client, server);
    await forwarding.agent.limitFds(NO_FDS);
    connected(port).send('too much');
    await forwarding.untilStats('a drop', ({ drops }) => drops['noDescriptor'] === 1);
    expect((await expectExchange(client, server)).from).toEqual(from);
  });
});

/** Makes a session that is in use: its client has spoken after an answer. */
async function established(client: UdpSocket, server: UdpSocket): Promise<void> {
  for (let exchange = 0; exchange < 2; exchange++) await expectExchange(client, server);
}

/** One datagram each from WAVE ports, of as many addresses if `isSpread`. */
function flood(port: number, { isSpread }: { isSpread: boolean }): void {
  for (let index = 0; index < WAVE; index++) {
    const ip = isSpread ? `127.1.${index >> 8}.${index & 255}` : HERE;
    udpSocket(new Cleanup()).bind(ip).connect(HERE, port).send('flood').close();
  }
}
