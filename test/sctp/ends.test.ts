import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Association,
  type SctpForwarding,
  startSctpForwarding,
} from '../harness/sctp-forwarding.js';
import { connectSctp } from '../harness/sctp-socket.js';
import { perSuite, perTest } from '../harness/suite.js';
import { payload } from '../harness/tcp-payload.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 15_000;
const SO_SNDBUF = 7;

describe('the end of a forwarded association', () => {
  const suite = perSuite();
  const test = perTest();
  let forwarding: SctpForwarding;

  beforeAll(async () => {
    forwarding = await startSctpForwarding(suite);
  });

  describe.each([
    ['the client', '127.0.0.1', ({ client, server }: Association) => [client, server] as const],
    ['the server', '127.0.0.1', ({ client, server }: Association) => [server, client] as const],
    ['the client', '::1', ({ client, server }: Association) => [client, server] as const],
    ['the server', '::1', ({ client, server }: Association) => [server, client] as const],
  ])('by %s, on %s', (_, ip, order) => {
    async function open() {
      const options = { parentIP: ip, childIP: ip };
      const [near, far] = order(await forwarding.association(test, options));
      return { near, far };
    }

    it('by SHUTDOWN comes after all messages, and is one on the other side', async () => {
      const { near, far } = await open();
      for (let index = 0; index < 20; index++) {
        await near.deliver(`message ${index}`, { stream: index % 10 });
      }
      near.finish();
      const { messages, ...end } = await far.outcome();
      expect(messages.map(({ data }) => String(data))).toEqual(
        Array.from({ length: 20 }, (__, index) => `message ${index}`),
      );
      expect(end).toEqual({ cutBytes: 0, end: 'FIN' });
      await forwarding.idle();
    });

    it('by SHUTDOWN waits for a reader that is slow', async () => {
      const { near, far } = await open();
      let sent = 0;
      // Until all buffers on the way are full and stay so.
      for (let refused = 0; refused < 20; ) {
        if (near.send(payload(sent, 8000)) > 0) {
          sent++;
          refused = 0;
        } else {
          refused++;
          await forwarding.stats();
        }
      }
      near.finish();
      const { messages, end } = await far.outcome();
      expect({ received: messages.length, end }).toEqual({ received: sent, end: 'FIN' });
      await forwarding.idle();
    });

    it('by ABORT comes after what was sent before it, and is one on the other side', async () => {
      const { near, far } = await open();
      await near.deliver('first');
      expect(String((await far.message()).data)).toBe('first');
      await forwarding.agent.frozen(() => {
        near.send('last words');
        near.reset();
      });
      const { messages, ...end } = await far.outcome();
      expect(messages.map(({ data }) => String(data))).toEqual(['last words']);
      expect(end).toEqual({ cutBytes: 0, end: 'ECONNRESET' });
      await forwarding.idle();
    });

    it('by ABORT frees a side that was blocked sending', async () => {
      const { near, far } = await open();
      const isBlocked = async () => {
        while (far.send(new Uint8Array(8000)) > 0);
        await forwarding.stats();
        return far.send(new Uint8Array(8000)) < 0;
      };
      await until(isBlocked, DEADLINE_MS, 'full buffers all the way');
      near.reset();
      expect((await far.outcome()).end).toBe('ECONNRESET');
      await forwarding.idle();
    });

    it('in the middle of a message delivers nothing of it', async () => {
      const { near, far } = await open();
      near.setOption(1, SO_SNDBUF, 512 * 1024);
      await near.deliver('whole');
      expect(String((await far.message()).data)).toBe('whole');
      // Far more than a window: the last of it can't have left yet.
      await near.deliver(payload(0, 1024 * 1024));
      near.reset();
      expect(await far.outcome()).toEqual({ messages: [], cutBytes: 0, end: 'ECONNRESET' });
      await forwarding.idle();
    });
  });

  it('counts what the server says to a client that has ended', async () => {
    const { client, server } = await forwarding.association(test);
    const { drops } = await forwarding.stats();
    await forwarding.agent.frozen(() => {
      server.send('too late');
      client.finish();
    });
    await forwarding.idle();
    expect((await forwarding.stats()).drops['late']).toBe((drops['late'] ?? 0) + 1);
  });

  it('before the server was connected reaches the server all the same', async () => {
    const listener = await forwarding.listen(test);
    const port = await forwarding.publish(listener.port);
    const client = await forwarding.agent.frozen(async () => {
      const early = connectSctp(test, port);
      await early.deliver('early');
      early.finish();
      return early;
    });
    const server = await listener.accept(test);
    const { messages, end } = await server.outcome();
    expect([messages.map(({ data }) => String(data)), end]).toEqual([['early'], 'FIN']);
    client.close();
    await forwarding.idle();
  });
});
