/** More than an agent may take, or can: what is new is shed, and everything else goes on. */
import { expect, it } from 'vitest';
import { tool, userNamespaces } from '../harness/needs.js';
import { freePort } from '../harness/ports.js';
import { type Program, start } from '../harness/processes.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perTest } from '../harness/suite.js';
import { type Pair, startForwarding } from '../harness/tcp-forwarding.js';
import { type TcpSocket, connect } from '../harness/tcp-socket.js';
import { udpSocket } from '../harness/udp-socket.js';
import { until } from '../harness/wait.js';
import { MANY, holdMany } from './overload-support.js';

const DEADLINE_MS = 30_000;
const FLOOD = 2_000;
const BATCH = 100;
const LINES_A_MINUTE = 10;
const LITTLE_MEMORY = 48 * 1024 * 1024;
const ECHO = `require('node:net').createServer((socket) => socket.on('error', () => {}).pipe(socket))
  .listen(7, '127.0.0.1', () => udp.bind(7, '127.0.0.1', () => console.log('ready')));
  const udp = require('node:dgram').createSocket('udp4')
    .on('message', (bytes, { port, address }) => udp.send(bytes, port, address));`;
const LINE = / event=limitHit .*the agent shed flows: (\d+) because (.*)"$/gm;

describeWith([userNamespaces, tool('prlimit')], 'an agent with too much to do', () => {
  const cleanup = perTest();

  async function startEcho(...flags: string[]): Promise<{ program: Program; ports: number[] }> {
    const ports = [await freePort(), await freePort()];
    const publish = ports.flatMap((port) =>
      ['tcp', 'udp'].flatMap((proto) => ['-p', `127.0.0.1:${port}:7/${proto}`]),
    );
    const command = [process.execPath, '--eval', ECHO];
    const program = await start(cleanup, sluice('run', ...flags, ...publish, '--', ...command));
    await program.line(/ready/, DEADLINE_MS);
    return { program, ports };
  }

  async function isServed(port: number): Promise<TcpSocket> {
    const client = connect(cleanup, port);
    client.send('echo');
    await client.expect('echo');
    return client;
  }

  it('resets connections over its limits, and takes others when some have ended', async () => {
    const { program, ports } = await startEcho('--max-flows=3', '--max-flows-per-port=2');
    const [one = 0, other = 0] = ports;
    const clients = [await isServed(one), await isServed(one)];
    expect((await connect(cleanup, one).outcome()).end).toBe('ECONNRESET');
    await isServed(other);
    expect((await connect(cleanup, other).outcome()).end).toBe('ECONNRESET');
    await program.line(/1 because the limit of --max-flows is reached/, DEADLINE_MS);
    await program.line(/1 because the limit of --max-flows-per-port is reached/, DEADLINE_MS);

    clients.pop()?.close();
    const served = async () => {
      const client = connect(cleanup, other);
      client.send('x');
      const received = await until(() => client.receive(), DEADLINE_MS, 'an echo or a reset');
      return Buffer.isBuffer(received);
    };
    await until(served, DEADLINE_MS, 'room for another');
  });

  it('counts UDP sessions as well: those in use let neither a session nor a connection in', async () => {
    const { program, ports } = await startEcho('--max-flows=2', '--max-flows-per-port=1');
    for (const [index, port] of ports.entries()) {
      // One client with more than its share would have to make room.
      const client = udpSocket(cleanup)
        .bind(`127.0.0.${index + 1}`)
        .connect('127.0.0.1', port);
      for (let exchange = 0; exchange < 2; exchange++) {
        expect(await client.send('echo').receiveText()).toBe('echo');
      }
    }
    const [port = 0] = ports;
    udpSocket(cleanup).connect('127.0.0.1', port).send('one too many');
    expect((await connect(cleanup, port).outcome()).end).toBe('ECONNRESET');
    await program.line(/1 because the limit of --max-flows-per-port is reached/, DEADLINE_MS);
    await program.line(/1 because the limit of --max-flows is reached/, DEADLINE_MS);
  });

  it('writes at most one line a second however many it sheds, and counts them all', async () => {
    const { program, ports } = await startEcho('--max-flows=1');
    const [port = 0] = ports;
    await isServed(port);
    const startedAt = performance.now();
    for (let batch = 0; batch < FLOOD / BATCH; batch++) {
      const clients = Array.from({ length: BATCH }, () => connect(cleanup, port));
      for (const client of clients) expect((await client.outcome()).end).toBe('ECONNRESET');
      for (const client of clients) client.close();
    }
    const lines = () => [...program.stderr.matchAll(LINE)];
    const shed = () => lines().reduce((sum, [, count]) => sum + Number(count), 0);
    await program.until(() => shed() > 0, DEADLINE_MS, 'a line in the log');
    expect(shed()).toBeLessThanOrEqual(FLOOD);
    const seconds = Math.ceil((performance.now() - startedAt) / 1000);
    expect(lines().length).toBeLessThanOrEqual(Math.min(seconds, LINES_A_MINUTE));
  });

  it.each(['as', 'data'] as const)(
    'short of memory (RLIMIT_%s) sheds what is new, and recovers',
    async (kind) => {
      const forwarding = await startForwarding(cleanup);
      const { agent } = forwarding;
      const listener = await forwarding.listen(cleanup);
      const port = await forwarding.publish(listener.port);
      const old: Pair = { client: connect(cleanup, port), server: await listener.accept(cleanup) };

      await agent.limitMemory(kind, LITTLE_MEMORY);
      for (let count = 0; count < FLOOD; count += BATCH) {
        const clients = Array.from({ length: BATCH }, () => connect(cleanup, port));
        for (const client of clients) expect((await client.outcome()).end).toBe('ECONNRESET');
        for (const client of clients) client.close();
      }
      expect((await forwarding.stats()).shed).toBe(FLOOD);
      old.client.send('still there');
      await old.server.expect('still there');

      await agent.limitMemory(kind);
      connect(cleanup, port).send('again');
      await (await listener.accept(cleanup)).expect('again');
      expect(forwarding.agent.pid).toBe(agent.pid);
    },
  );

  it(`holds ${MANY} connections at a time, and nothing of them afterwards`, async () => {
    expect(await holdMany(cleanup)).toEqual({ flows: MANY, shed: 0, pipes: 0 });
  });
});
