import { readFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { beforeAll, expect, it } from 'vitest';
import { PIPE_BYTES, PipePool } from '../../dist/child/pipes.js';
import { SlabPool } from '../../dist/child/slabs.js';
import { TcpPump } from '../../dist/child/tcp/pump.js';
import { Fd } from '../../dist/msg/fd.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { type Program, start } from '../harness/processes.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { type Forwarding, connections, startForwarding } from '../harness/tcp-forwarding.js';
import { connect, fill, listenHere } from '../harness/tcp-socket.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 30_000;
const STREAMS = 4;
const REQUESTS = 50;
const MANY = 1_500;
/** Fewer than the events of a turn, so that the parent has to wait for all of them. */
const FULL_STREAMS = 40;
const MIB = 1024 * 1024;
/** What one direction may move in a turn. */
const TURN_BYTES = 512 * 1024;

describeWith([userNamespaces, tool('ip'), tool('socat')], 'an agent that streams', () => {
  const suite = perSuite();
  const test = perTest();
  let forwarding: Forwarding;

  beforeAll(async () => {
    forwarding = await startForwarding(suite);
  });

  it('answers small requests meanwhile, and starves none of the streams', async () => {
    const streams: Program[] = [];
    for (let stream = 0; stream < STREAMS; stream++) streams.push(await startStream());
    await until(
      () => streams.every((stream) => bytesRead(stream) > MIB),
      DEADLINE_MS,
      'all streams',
    );

    const listener = await forwarding.listen(test);
    const client = connect(test, await forwarding.publish(listener.port));
    const server = await listener.accept(test);
    const before = streams.map(bytesRead);
    for (let request = 0; request < REQUESTS; request++) {
      client.send(`question ${request}`);
      await server.expect(`question ${request}`);
      server.send(`answer ${request}`);
      await client.expect(`answer ${request}`);
    }
    const after = streams.map(bytesRead);
    expect(streams.map((_, index) => (after[index] ?? 0) - (before[index] ?? 0) > MIB)).toEqual(
      streams.map(() => true),
    );
  });

  it('answers its parent before all that waits at a time is done', async () => {
    const pairs = await forwarding.connections(test, MANY);
    const answer = await forwarding.agent.frozen(async () => {
      for (const { client, server } of pairs) {
        client.close();
        server.close();
      }
      const stats = forwarding.stats();
      // By then the question has been sent.
      await turn();
      return { stats };
    });
    const { flows } = await answer.stats;
    expect(flows).toBeGreaterThan(MANY / 2);
    await forwarding.idle();
  });

  it('looks at what is new before streams had their share', async () => {
    const listener = await forwarding.listen(test);
    const port = await forwarding.publish(listener.port);
    const connectNext = () => connect(test, port);
    const pairs = await connections(test, listener, FULL_STREAMS, connectNext);
    const moved = async () => {
      const { flows } = await forwarding.flows(port, FULL_STREAMS);
      return flows.reduce((sum, { bytesIn }) => sum + bytesIn, 0);
    };
    // They stream until the servers' buffers are full, with more behind.
    await forwarding.agent.frozen(() => pairs.forEach(({ client }) => fill(client)));
    let before = 0;
    const areFull = async () => {
      const last = before;
      before = await moved();
      return before > 0 && before === last;
    };
    await until(areFull, DEADLINE_MS, 'servers with full buffers');

    const answer = await forwarding.agent.frozen(async () => {
      for (const { server } of pairs) while (Buffer.isBuffer(server.receive()));
      const early = moved();
      await turn();
      return { early };
    });
    const half = (FULL_STREAMS * TURN_BYTES) / 2;
    expect((await answer.early) - before).toBeLessThan(half);
    await until(async () => (await moved()) - before > half, DEADLINE_MS, 'half of the shares');
  });

  it('moves no more than a share of what waits before it looks at the others', async () => {
    const source = await pair();
    const sink = await pair();
    const pipes = new PipePool();
    const buffers = { slabs: new SlabPool(), pipes };
    const pump = new TcpPump(buffers, { bytes: 0, packets: 0 });
    test.defer(() => {
      pump.release();
      const pipe = pipes.take();
      for (const end of [pipe?.readEnd, pipe?.writeEnd]) new Fd(end ?? -1).close();
    });
    let most = 0;
    const hasMore = () => {
      fill(source.client);
      if (source.server.waiting < 2 * TURN_BYTES) {
        // The kernel widens the window of a reader that takes much at a time: the pump takes 64 KiB.
        while (Buffer.isBuffer(source.server.receive()));
        return false;
      }
      while (Buffer.isBuffer(sink.server.receive()));
      const before = pump.moved;
      pump.readable = pump.writable = true;
      const result = pump.run(source.server.fd, sink.client.fd);
      most = Math.max(most, pump.moved - before);
      return result === 'again';
    };
    for (let share = 0; share < 20; share++) await until(hasMore, DEADLINE_MS, 'a full share');
    expect(most).toBeGreaterThanOrEqual(TURN_BYTES);
    expect(most).toBeLessThan(TURN_BYTES + PIPE_BYTES);
  });

  async function pair() {
    const listener = listenHere(test);
    const client = connect(test, listener.port);
    return { client, server: await listener.accept(test) };
  }

  /** The reading end of an endless stream. */
  async function startStream(): Promise<Program> {
    const listener = await forwarding.listen(test);
    const { port } = listener;
    listener.close();
    const reader = await forwarding.start(test, [
      'socat',
      '-u',
      `TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr`,
      'OPEN:/dev/null,wronly',
    ]);
    const target = await forwarding.publish(port);
    const isListening = async () => (await forwarding.run(['ss', '-tln'])).includes(`:${port} `);
    await until(isListening, DEADLINE_MS, 'a listening socat');
    await start(test, ['socat', '-u', 'OPEN:/dev/zero', `TCP:127.0.0.1:${target}`]);
    return reader;
  }
});

/** See proc_pid_io(5). */
function bytesRead({ pid }: Program): number {
  return Number(/^rchar: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1]);
}
