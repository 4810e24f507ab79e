import { beforeAll, describe, expect, it } from 'vitest';
import { PortCounters } from '../../dist/child/counters.js';
import { Messages } from '../../dist/child/sctp/messages.js';
import { type Drop, SLAB_BYTES, SctpPump } from '../../dist/child/sctp/pump.js';
import { unacknowledged } from '../../dist/child/sctp/sockets.js';
import { SlabPool } from '../../dist/child/slabs.js';
import type { Targets } from '../../dist/child/targets.js';
import { setSctpOptions } from '../../dist/msg/sctp.js';
import type { Cleanup } from '../harness/cleanup.js';
import { type SctpForwarding, startSctpForwarding } from '../harness/sctp-forwarding.js';
import { type SctpSocket, connectSctp, listenSctp } from '../harness/sctp-socket.js';
import { perSuite, perTest } from '../harness/suite.js';
import { payload } from '../harness/tcp-payload.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 15_000;
const LARGEST_BYTES = 1024 * 1024;
const STREAMS = 10;
/** Of each port. */
const MOST_FLOWS = 2;
const SO_SNDBUF = 7;

function numbered(index: number): Buffer {
  const data = Buffer.from(payload(index, 4000));
  data.writeUInt32LE(index);
  return data;
}

async function pair(cleanup: Cleanup): Promise<readonly [SctpSocket, SctpSocket]> {
  const listener = listenSctp(cleanup);
  const client = connectSctp(cleanup, listener.port);
  const server = await listener.accept(cleanup);
  setSctpOptions(server.fd, { in: STREAMS, out: STREAMS });
  return [client, server];
}

function makePump() {
  const drops: Drop[] = [];
  const shared = {
    slabs: new SlabPool(SLAB_BYTES),
    messages: new Messages(),
    heldBytes: 0,
    dropped: (_: unknown, reason: Drop) => {
      drops.push(reason);
    },
  };
  const counters = new PortCounters();
  const port = { id: 1, targets: {} as Targets, counters };
  return { pump: new SctpPump(shared, port, counters.in), shared, drops };
}

describe('forwarded associations', () => {
  const suite = perSuite();
  const test = perTest();
  let forwarding: SctpForwarding;

  beforeAll(async () => {
    forwarding = await startSctpForwarding(suite, { maxFlowsPerPort: MOST_FLOWS });
  });

  async function dropped(reason: Drop): Promise<number> {
    return (await forwarding.stats()).drops[reason] ?? -1;
  }

  it.each(['to the server', 'to the client'])(
    'hold up a sender whose receiver does not read, and keep the order, %s',
    async (direction) => {
      const { client, server } = await forwarding.association(test);
      const [from, to] = direction === 'to the server' ? [client, server] : [server, client];
      const sent: number[] = [];
      const isBlocked = async () => {
        const before = sent.length;
        const label = () => ({ stream: sent.length % STREAMS });
        while (from.send(numbered(sent.length), label()) > 0) sent.push(sent.length);
        await forwarding.stats();
        return sent.length === before;
      };
      await until(isBlocked, DEADLINE_MS, 'a sender that has to wait');
      // Four sockets' buffers of 1 MiB at the most.
      expect(sent.length * 4000).toBeLessThan(4 * LARGEST_BYTES);
      const received: number[][] = Array.from({ length: STREAMS }, () => []);
      for (const _ of sent) {
        const { data, stream } = await to.message();
        const index = data.readUInt32LE();
        expect(data.equals(numbered(index))).toBe(true);
        received[stream]?.push(index);
      }
      // Each stream has an order of its own.
      expect(received).toEqual(
        received.map((__, stream) => sent.filter((index) => index % STREAMS === stream)),
      );
      await from.deliver('more');
      expect(String((await to.message()).data)).toBe('more');
    },
  );

  it('answer small requests while another one streams', async () => {
    const busy = await forwarding.association(test);
    const { client, server } = await forwarding.association(test);
    let received = 0;
    const stream = () => {
      while (busy.client.send(payload(0, 8000)) > 0);
      while (typeof busy.server.next() === 'object') received++;
    };
    for (let request = 0; request < 20; request++) {
      stream();
      client.send(`question ${request}`);
      expect(String((await server.message()).data)).toBe(`question ${request}`);
      stream();
      server.send(`answer ${request}`);
      expect(String((await client.message()).data)).toBe(`answer ${request}`);
    }
    expect(received).toBeGreaterThan(20);
  });

  it('carry the largest message, and end by ABORT at one that is larger', async () => {
    const before = await dropped('oversized');
    const { client, server } = await forwarding.association(test, {
      prepare: (connecting) => connecting.setOption(1, SO_SNDBUF, LARGEST_BYTES),
    });
    const largest = payload(0, LARGEST_BYTES);
    await client.deliver(largest);
    expect((await server.message()).data.equals(largest)).toBe(true);
    await client.deliver('before');
    await client.deliver(payload(0, LARGEST_BYTES + 1));
    const { messages, ...end } = await server.outcome();
    expect(messages.map(({ data }) => String(data))).toEqual(['before']);
    expect(end).toEqual({ cutBytes: 0, end: 'ECONNRESET' });
    expect((await client.outcome()).end).toBe('ECONNRESET');
    await forwarding.idle();
    expect(await dropped('oversized')).toBe(before + 1);
  });

  it('end by ABORT at a message on a stream that the server did not agree to', async () => {
    const before = await dropped('stream');
    const { client, server } = await forwarding.association(test, {
      prepare: (_, listening) => listening.askFor({ in: 2, out: 2 }),
    });
    expect(server.streams).toEqual({ in: 2, out: 2 });
    await client.deliver('fine', { stream: 1 });
    await client.deliver('not', { stream: 2 });
    const { messages, end } = await server.outcome();
    expect([messages.map(({ data }) => String(data)), end]).toEqual([['fine'], 'ECONNRESET']);
    expect((await client.outcome()).end).toBe('ECONNRESET');
    expect(await dropped('stream')).toBe(before + 1);
  });

  it('over the limit of their port end by ABORT at once, until another one has ended', async () => {
    const before = await forwarding.stats();
    const listener = await forwarding.listen(test);
    const port = await forwarding.publish(listener.port);
    const first = connectSctp(test, port);
    for (const client of [first, connectSctp(test, port)]) {
      await client.deliver('within');
      await (await listener.accept(test)).message();
    }
    expect((await connectSctp(test, port).outcome()).end).toBe('ECONNRESET');
    const { flows, accepted, shed } = await forwarding.stats();
    expect({ flows, accepted: accepted - before.accepted, shed: shed - before.shed }).toEqual({
      flows: MOST_FLOWS,
      accepted: MOST_FLOWS,
      shed: 1,
    });
    first.reset();
    const hasRoom = async () => (await forwarding.stats()).flows < MOST_FLOWS;
    await until(hasRoom, DEADLINE_MS, 'room for another');
    await connectSctp(test, port).deliver('again');
    const server = await listener.accept(test);
    expect(String((await server.message()).data)).toBe('again');
  });

  describe('one direction', () => {
    it('moves no more than a share of what waits before others get theirs', async () => {
      const [client, source] = await pair(test);
      const [server, sink] = await pair(test);
      const { pump, shared } = makePump();
      for (let index = 0; index < 100; index++) await client.deliver(`${index}`);
      await until(() => unacknowledged(client.fd) === 0, DEADLINE_MS, 'all at the source');
      expect(pump.run(source.fd, sink.fd)).toBe('again');
      await until(() => unacknowledged(sink.fd) === 0, DEADLINE_MS, 'a share at the server');
      const received: string[] = [];
      const readAll = () => {
        for (let next = server.next(); typeof next === 'object'; next = server.next()) {
          received.push(String(next.data));
        }
        return received.length;
      };
      expect(readAll()).toBe(64);
      const isDone = () => pump.run(source.fd, sink.fd) === 'waiting' && readAll() === 100;
      await until(isDone, DEADLINE_MS, 'all');
      expect(received).toEqual(Array.from({ length: 100 }, (_, index) => `${index}`));
      expect(shared.heldBytes).toBe(0);
    });

    it('drops and counts the beginning of a message that an ABORT has cut', async () => {
      const [client, source] = await pair(test);
      const [server, sink] = await pair(test);
      const { pump, shared, drops } = makePump();
      client.setOption(1, SO_SNDBUF, LARGEST_BYTES);
      await client.deliver(payload(0, LARGEST_BYTES));
      // No turn is long enough for all of it.
      const hasBegun = () => {
        pump.readable = true;
        pump.run(source.fd, sink.fd);
        return shared.heldBytes > 0;
      };
      await until(hasBegun, DEADLINE_MS, 'the beginning of a message');
      client.reset();
      const hasFailed = () => {
        pump.readable = true;
        return pump.run(source.fd, sink.fd) === 'sourceFailed';
      };
      await until(hasFailed, DEADLINE_MS, 'the ABORT');
      pump.release();
      expect(drops).toEqual(['incomplete']);
      expect(shared.heldBytes).toBe(0);
      sink.finish();
      expect(await server.outcome()).toEqual({ messages: [], cutBytes: 0, end: 'FIN' });
    });
  });
});
