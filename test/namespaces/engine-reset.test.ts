import { beforeAll, describe, expect, it } from 'vitest';
import { tool, userNamespaces } from '../harness/needs.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { type Forwarding, type Pair, startForwarding } from '../harness/tcp-forwarding.js';
import { readable } from '../harness/tcp-kernel.js';
import { connect, fill } from '../harness/tcp-socket.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 15_000;
const STREAM_BYTES = 4 << 20;

describeWith([userNamespaces, tool('ip')], 'a reset of a forwarded connection', () => {
  const suite = perSuite();
  const test = perTest();
  let forwarding: Forwarding;

  beforeAll(async () => {
    forwarding = await startForwarding(suite);
  });

  describe.each([
    ['the client', ({ client, server }: Pair) => [client, server] as const],
    ['the server', ({ client, server }: Pair) => [server, client] as const],
  ])('by %s', (_, order) => {
    async function open(buffers: 'default' | 'shrunk' = 'default') {
      const [near, far] = order(await forwarding.connection(test, buffers));
      return { near, far };
    }

    it('reaches the other side while both are idle', async () => {
      const { near, far } = await open();
      near.reset();
      expect(await far.outcome()).toEqual({ text: '', end: 'ECONNRESET' });
      await forwarding.idle();
    });

    it('comes after the data that was sent before it', async () => {
      const { near, far } = await open();
      near.send('last words');
      await until(() => near.unacknowledged === 0, DEADLINE_MS, 'delivery to the agent');
      near.reset();
      expect(await far.outcome()).toEqual({ text: 'last words', end: 'ECONNRESET' });
    });

    it('comes after data that the agent sees at the same time', async () => {
      const { near, far } = await open();
      near.send('first');
      await far.expect('first');
      await forwarding.agent.frozen(() => {
        near.send('last words');
        near.reset();
      });
      expect(await far.outcome()).toEqual({ text: 'last words', end: 'ECONNRESET' });
      await forwarding.idle();
    });

    it('comes after data when the other side is sending at the same time', async () => {
      const { near, far } = await open();
      await forwarding.agent.frozen(() => {
        near.send('last words');
        far.send('never read');
        near.reset();
      });
      expect(await far.outcome()).toEqual({ text: 'last words', end: 'ECONNRESET' });
      await forwarding.idle();
    });

    it('stays a reset after its own FIN', async () => {
      const { near, far } = await open();
      near.send('question');
      near.finish();
      expect(await far.outcome()).toEqual({ text: 'question', end: 'FIN' });
      near.reset();
      const broken = () => far.send('answer') < 0;
      await until(broken, DEADLINE_MS, 'a send that fails');
      await forwarding.idle();
    });

    it('stays a reset after the FIN of the other side', async () => {
      const { near, far } = await open();
      far.finish();
      expect(await near.outcome()).toEqual({ text: '', end: 'FIN' });
      near.send('last words');
      await far.expect('last words');
      near.reset();
      expect(await far.outcome()).toEqual({ text: '', end: 'ECONNRESET' });
      await forwarding.idle();
    });

    it('frees a side that was blocked sending to it', async () => {
      const { near, far } = await open('shrunk');
      await until(() => fill(far) === 0, DEADLINE_MS, 'full buffers all the way');
      near.reset();
      expect((await far.outcome()).end).toBe('ECONNRESET');
      await forwarding.idle();
    });

    it('is what a plain close becomes when it leaves bytes unread', async () => {
      const { near, far } = await open();
      far.send('unread');
      await until(() => near.waiting > 0, DEADLINE_MS, 'bytes at the other end');
      near.close();
      expect((await far.outcome()).end).toBe('ECONNRESET');
      await forwarding.idle();
    });

    it('reaches a side that streams at the time', async () => {
      const { near, far } = await open();
      let received = 0;
      const isStreaming = () => {
        fill(far);
        const chunk = near.receive();
        received += Buffer.isBuffer(chunk) ? chunk.length : 0;
        return received > STREAM_BYTES;
      };
      await until(isStreaming, DEADLINE_MS, 'a stream');
      near.reset();
      expect((await far.outcome()).end).toBe('ECONNRESET');
      await forwarding.idle();
    });
  });

  it('reaches the server when the client was reset before the server was connected', async () => {
    const listener = await forwarding.listen(test);
    const port = await forwarding.publish(listener.port);
    await forwarding.agent.frozen(() => {
      const client = connect(test, port);
      client.send('early');
      client.reset();
    });
    const server = await listener.accept(test);
    expect(await server.outcome()).toEqual({ text: 'early', end: 'ECONNRESET' });
    await forwarding.idle();
  });

  it('of a server that speaks and resets before the agent looks is no refusal', async () => {
    const { client, server } = await lateConnection();
    await forwarding.agent.frozen(async () => {
      const accepted = await server();
      accepted.send('go away');
      accepted.reset();
    });
    expect(await client.outcome()).toEqual({ text: 'go away', end: 'ECONNRESET' });
    await forwarding.idle();
  });

  /** A client whose server has no room in its backlog until `server` makes some. */
  async function lateConnection() {
    const listener = await forwarding.listen(test, '127.0.0.1', 0, 0);
    const port = await forwarding.publish(listener.port);
    const first = connect(test, port);
    await readable(test, listener);
    const client = connect(test, port);
    const accepted = async () => (await forwarding.stats()).flows === 2;
    await until(accepted, DEADLINE_MS, 'a flow that waits for its server');
    const server = async () => {
      (await listener.accept(test)).close();
      first.close();
      return listener.accept(test);
    };
    return { client, server };
  }
});
