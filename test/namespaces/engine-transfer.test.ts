import { beforeAll, describe, expect, it } from 'vitest';
import { tool, userNamespaces } from '../harness/needs.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { type Forwarding, type Pair, startForwarding } from '../harness/tcp-forwarding.js';
import { receive, send, streamOf } from '../harness/tcp-payload.js';
import type { TcpSocket } from '../harness/tcp-socket.js';
import { Transfer } from '../harness/tcp-transfer.js';
import { until } from '../harness/wait.js';

type Ends = readonly [TcpSocket, TcpSocket];

const DEADLINE_MS = 50_000;
const KIB = 1024;
const MIB = 1024 * KIB;
/** The way down begins elsewhere in the payload, so that the two can't be mistaken for each other. */
const DOWN_OFFSET = 500_000;

describeWith([userNamespaces, tool('ip')], 'a transfer', () => {
  const suite = perSuite();
  const test = perTest();
  let forwarding: Forwarding;

  beforeAll(async () => {
    forwarding = await startForwarding(suite);
  });

  it.each([
    0,
    1,
    2,
    KIB - 1,
    KIB,
    KIB + 1,
    64 * KIB - 1,
    64 * KIB,
    64 * KIB + 1,
    256 * KIB - 1,
    256 * KIB,
    256 * KIB + 1,
    MIB,
    16 * MIB + 3,
    256 * MIB,
  ])('of %i bytes arrives whole, both ways at once', async (bytes) => {
    const { sent, received } = await transferBothWays(bytes);
    expect(received).toEqual(sent);
    expect(received.up.bytes).toBe(bytes);
  });

  it('of 1 GiB arrives whole, both ways at once', { timeout: 120_000 }, async () => {
    const { sent, received } = await transferBothWays(1024 * MIB);
    expect(received).toEqual(sent);
  });

  it('in writes of one byte arrives whole', async () => {
    const { sent, received } = await transferBothWays(20_000, 1);
    expect(received).toEqual(sent);
  });

  it('of many sizes on connections at the same time arrives whole', async () => {
    const sizes = Array.from({ length: 24 }, (_, index) => index ** 4 * 7);
    const transfers = await Promise.all(sizes.map((bytes) => transferBothWays(bytes)));
    for (const { sent, received } of transfers) expect(received).toEqual(sent);
    expect(transfers.map(({ received }) => received.down.bytes)).toEqual(sizes);
  });

  async function transferBothWays(bytes: number, chunkBytes?: number) {
    const { client, server } = await forwarding.connection(test);
    const [near, far] = [streamOf(client), streamOf(server)];
    test.defer(() => [near, far].forEach((stream) => stream.destroy()));
    const [up, down, atServer, atClient] = await Promise.all([
      send(near, 0, bytes, chunkBytes),
      send(far, DOWN_OFFSET, bytes, chunkBytes),
      receive(far),
      receive(near),
    ]);
    return { sent: { up, down }, received: { up: atServer, down: atClient } };
  }

  describe.each([
    ['the server', ({ client, server }: Pair) => [client, server] as const],
    ['the client', ({ client, server }: Pair) => [server, client] as const],
  ])('to %s', (_, order) => {
    it('that reads little by little, and only when all buffers are full', async () => {
      const ends = order(await forwarding.connection(test, 'shrunk'));
      const { end, sent, received } = await transferInSteps(ends, 3 * MIB, 997);
      expect(end).toBe('FIN');
      expect(received).toEqual(sent);
    });

    it('that lets a stream wait again and again', async () => {
      const ends = order(await forwarding.connection(test));
      const { end, sent, received } = await transferInSteps(ends, 32 * MIB, 64 * KIB);
      expect(end).toBe('FIN');
      expect(received).toEqual(sent);
    });
  });
});

/** The reader starts when the writer has to wait, and reads until nothing is left to read. */
async function transferInSteps([source, sink]: Ends, total: number, most: number) {
  const transfer = new Transfer(source, sink, total);
  const step = () => {
    if (transfer.write() > 0) return false;
    if (transfer.isSent && transfer.end === undefined) source.finish();
    transfer.read(most);
    return transfer.end;
  };
  const end = await until(step, DEADLINE_MS, 'the end of the transfer');
  return { end, sent: transfer.sent.digest(), received: transfer.received.digest() };
}
