import { beforeAll, describe, expect, it } from 'vitest';
import type { Spec } from '../../dist/msg/port.js';
import {
  type Association,
  type SctpForwarding,
  startSctpForwarding,
} from '../harness/sctp-forwarding.js';
import { type SctpSocket, connectSctp, listenSctp } from '../harness/sctp-socket.js';
import { perSuite, perTest } from '../harness/suite.js';
import { payload } from '../harness/tcp-payload.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 15_000;
const KIB = 1024;
const SO_SNDBUF = 7;
const FAMILIES = [
  ['127.0.0.1', '127.0.0.1'],
  ['::1', '::1'],
  ['127.0.0.1', '::1'],
  ['::1', '127.0.0.1'],
] as const;

describe('a forwarded association', () => {
  const suite = perSuite();
  const test = perTest();
  let forwarding: SctpForwarding;

  beforeAll(async () => {
    forwarding = await startSctpForwarding(suite);
  });

  describe.each(FAMILIES)('from %s to %s', (parentIP, childIP) => {
    const open = (): Promise<Association> => forwarding.association(test, { parentIP, childIP });

    it('keeps message boundaries, streams, PPIDs and the unordered flag both ways', async () => {
      const { client, server } = await open();
      const messages = [
        { data: Buffer.from('one'), stream: 0, ppid: 0, unordered: false },
        { data: Buffer.from('two'), stream: 9, ppid: 0x12345678, unordered: false },
        { data: Buffer.from('three'), stream: 3, ppid: 0xfffffffe, unordered: true },
        { data: payload(1, 70_000), stream: 5, ppid: 60, unordered: false },
        { data: Buffer.from('x'), stream: 9, ppid: 1, unordered: false },
      ];
      for (const [from, to] of [
        [client, server],
        [server, client],
      ] as const) {
        for (const { data, ...label } of messages) {
          await from.deliver(data, label);
          const { data: received, ...itsLabel } = await to.message();
          expect([received.equals(data), itsLabel]).toEqual([true, label]);
        }
      }
    });
  });

  it('has as many streams with the server as with the client', async () => {
    const { client, server } = await forwarding.association(test, {
      prepare(connecting, listening) {
        connecting.askFor({ in: 7, out: 300 });
        listening.askFor({ in: 65_535, out: 5000 });
      },
    });
    expect(client.streams).toEqual({ in: 7, out: 300 });
    expect(server.streams).toEqual({ in: 300, out: 7 });
    await client.deliver('last', { stream: 299 });
    expect(await server.message()).toMatchObject({ stream: 299 });
    await server.deliver('last', { stream: 6 });
    expect(await client.message()).toMatchObject({ stream: 6 });
  });

  it.each([256, 416])('carries a message of %i KiB both ways', async (kib) => {
    const { client, server } = await forwarding.association(test, {
      prepare: (...sockets) =>
        sockets.forEach((socket) => socket.setOption(1, SO_SNDBUF, 512 * KIB)),
    });
    const label = { stream: 2, ppid: 46, unordered: false };
    const data = payload(7, kib * KIB);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      await from.deliver(data, label);
      const message = await to.message();
      expect(message.data.equals(data)).toBe(true);
      expect(message).toMatchObject(label);
    }
  });

  it('goes on when its port is removed, which can be published again at once', async () => {
    const listener = await forwarding.listen(test);
    const port = await forwarding.publish(listener.port);
    const client = connectSctp(test, port);
    const server = await listener.accept(test);
    await forwarding.unpublish(port);
    await client.deliver('still here');
    expect(String((await server.message()).data)).toBe('still here');
    expect((await connectSctp(test, port).outcome()).end).toBe('ECONNREFUSED');
    await forwarding.publish(listener.port, { parentPort: port });
    connectSctp(test, port);
    await (await listener.accept(test)).deliver('new');
  });

  it('is refused a port that another program has', async () => {
    const { port } = listenSctp(test);
    const published = forwarding.publish(1, { parentPort: port });
    await expect(published).rejects.toMatchObject({ code: 'ERR_BIND_IN_USE' });
  });

  it.each(['127.0.0.1', '::1'])('is refused by an ABORT when nobody listens, on %s', async (ip) => {
    const listener = await forwarding.listen(test, ip);
    const port = await forwarding.publish(listener.port, { parentIP: ip, childIP: ip });
    listener.close();
    const { refused } = await forwarding.stats();
    const client = connectSctp(test, port, ip);
    expect(await client.outcome()).toEqual({ messages: [], cutBytes: 0, end: 'ECONNRESET' });
    expect((await forwarding.stats()).refused).toBe(refused + 1);
    await forwarding.idle();
  });

  describe('to a port with', () => {
    const PORT = 2905;
    const REFUSED = 'ECONNREFUSED';

    /** Which server a client reaches there, by its address; else how the association ended. */
    async function reached(ip: string, servers: Readonly<Record<string, SctpSocket>>) {
      const client = connectSctp(test, PORT, ip);
      const answer = () => {
        const next = client.next();
        if (typeof next === 'string') return next;
        return Object.keys(servers).find((name) => servers[name]?.tryAccept(test));
      };
      return until(answer, DEADLINE_MS, 'a server, or the end');
    }

    it.each<readonly [string, readonly Partial<Spec>[], readonly [v4: string, v6: string]]>([
      ['sctp on an empty parentIP', [{ parentIP: '' }], ['127.0.0.1', '127.0.0.1']],
      ['sctp on 0.0.0.0', [{ parentIP: '0.0.0.0', childIP: '::1' }], ['::1', '::1']],
      ['sctp on ::', [{ parentIP: '::' }], ['127.0.0.1', '127.0.0.1']],
      ['sctp4', [{ proto: 'sctp4', parentIP: '' }], ['127.0.0.1', REFUSED]],
      ['sctp6', [{ proto: 'sctp6', parentIP: '' }], [REFUSED, '127.0.0.1']],
      ['sctp on ::1 and no childIP', [{ parentIP: '::1' }], [REFUSED, '::1']],
      [
        'sctp4 and sctp6 side by side, and TCP beside them',
        [
          { proto: 'sctp4', parentIP: '0.0.0.0', childIP: '127.0.0.1' },
          { proto: 'sctp6', parentIP: '::', childIP: '::1' },
          { proto: 'tcp', parentIP: '', childIP: '127.0.0.1' },
        ],
        ['127.0.0.1', '::1'],
      ],
    ])('%s comes by the addresses that TCP would', async (_, specs, heard) => {
      const four = await forwarding.listen(test);
      const six = await forwarding.listen(test, '::1', four.port);
      const servers = { '127.0.0.1': four, '::1': six };
      for (const spec of specs) {
        await forwarding.publish(four.port, { childIP: '', parentPort: PORT, ...spec });
      }
      expect([await reached('127.0.0.1', servers), await reached('::1', servers)]).toEqual(heard);
      for (let left = specs.length; left > 0; left--) await forwarding.unpublish(PORT);
    });
  });
});
