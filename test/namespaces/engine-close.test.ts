import { beforeAll, describe, expect, it } from 'vitest';
import { tool, userNamespaces } from '../harness/needs.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { type Forwarding, type Pair, startForwarding } from '../harness/tcp-forwarding.js';
import { type TcpSocket, connect, fill } from '../harness/tcp-socket.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 15_000;

/** Sends until nothing on the way takes a byte more; returns how much that was. */
async function fillAll(socket: TcpSocket): Promise<number> {
  let total = 0;
  const isStuck = () => {
    const taken = fill(socket);
    total += taken;
    return taken === 0 && socket.unacknowledged > 0;
  };
  await until(isStuck, DEADLINE_MS, 'full buffers all the way');
  return total;
}

describeWith([userNamespaces, tool('ip')], 'the end of a forwarded connection', () => {
  const suite = perSuite();
  const test = perTest();
  let forwarding: Forwarding;

  beforeAll(async () => {
    forwarding = await startForwarding(suite);
  });

  // Every behaviour must hold in both directions.
  describe.each([
    ['the client', ({ client, server }: Pair) => [client, server] as const],
    ['the server', ({ client, server }: Pair) => [server, client] as const],
  ])('that %s began to end', (_, order) => {
    async function open(buffers: 'default' | 'shrunk' = 'default') {
      const [near, far] = order(await forwarding.connection(test, buffers));
      return { near, far };
    }

    it('reaches the other side as a FIN, and the other direction goes on', async () => {
      const { near, far } = await open();
      near.send('question');
      near.finish();
      expect(await far.outcome()).toEqual({ text: 'question', end: 'FIN' });
      for (const part of ['an ', 'answer ', 'in parts']) {
        far.send(part);
        await near.expect(part);
      }
      far.finish();
      expect(await near.outcome()).toEqual({ text: '', end: 'FIN' });
      await forwarding.idle();
    });

    it('is seen when it comes together with data', async () => {
      const { near, far } = await open();
      near.send('first');
      await far.expect('first');
      await forwarding.agent.frozen(() => {
        near.send('last');
        near.finish();
      });
      expect(await far.outcome()).toEqual({ text: 'last', end: 'FIN' });
    });

    it('is passed on only after all that was sent before it', async () => {
      const { near, far } = await open('shrunk');
      const sent = await fillAll(near);
      near.finish();
      const { text, end } = await far.outcome();
      expect({ bytes: text.length, end }).toEqual({ bytes: sent, end: 'FIN' });
      far.send('still open');
      await near.expect('still open');
    });

    it('is passed on while the other direction is blocked', async () => {
      const { near, far } = await open('shrunk');
      const sent = await fillAll(far);
      near.send('bye');
      near.finish();
      expect(await far.outcome()).toEqual({ text: 'bye', end: 'FIN' });
      far.finish();
      expect((await near.outcome()).text.length).toBe(sent);
      await forwarding.idle();
    });

    it('with a close becomes a reset for a side that goes on sending', async () => {
      const { near, far } = await open();
      near.close();
      expect(await far.outcome()).toEqual({ text: '', end: 'FIN' });
      expect(await until(() => far.send('more') < 0, DEADLINE_MS, 'a send that fails')).toBe(true);
      await forwarding.idle();
    });

    it('leaves nothing behind when the other side ends at the same time', async () => {
      const { near, far } = await open();
      await forwarding.agent.frozen(() => {
        near.finish();
        far.finish();
      });
      expect(await near.outcome()).toEqual({ text: '', end: 'FIN' });
      expect(await far.outcome()).toEqual({ text: '', end: 'FIN' });
      await forwarding.idle();
    });
  });

  it('reaches the server when the client ended before the server was connected', async () => {
    const listener = await forwarding.listen(test);
    const port = await forwarding.publish(listener.port);
    const client = await forwarding.agent.frozen(() => {
      const socket = connect(test, port);
      socket.send('early');
      socket.finish();
      return socket;
    });
    const server = await listener.accept(test);
    expect(await server.outcome()).toEqual({ text: 'early', end: 'FIN' });
    server.send('answer');
    server.close();
    expect(await client.outcome()).toEqual({ text: 'answer', end: 'FIN' });
  });

  it('comes at once from a server that accepts and closes', async () => {
    const listener = await forwarding.listen(test);
    const client = connect(test, await forwarding.publish(listener.port));
    (await listener.accept(test)).close();
    expect(await client.outcome()).toEqual({ text: '', end: 'FIN' });
  });
});
