import { beforeAll, describe, expect, it } from 'vitest';
import { tool, userNamespaces } from '../harness/needs.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { type Forwarding, type Pair, startForwarding } from '../harness/tcp-forwarding.js';
import { Digester, payload } from '../harness/tcp-payload.js';
import { MSG_OOB, type TcpSocket } from '../harness/tcp-socket.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 15_000;
const BLOCK_BYTES = 64 * 1024;

describeWith([userNamespaces, tool('ip')], 'urgent data', () => {
  const suite = perSuite();
  const test = perTest();
  let forwarding: Forwarding;

  beforeAll(async () => {
    forwarding = await startForwarding(suite);
  });

  describe.each([
    ['the client', ({ client, server }: Pair) => [client, server] as const],
    ['the server', ({ client, server }: Pair) => [server, client] as const],
  ])('from %s', (_, order) => {
    async function open() {
      const [near, far] = order(await forwarding.connection(test));
      return { near, far };
    }

    it('arrives in its place between other data', async () => {
      const { near, far } = await open();
      for (const word of ['one', 'two']) {
        near.send('before ');
        near.send(word, MSG_OOB);
        near.send(' after');
        await far.expect(`before ${word} after`);
      }
    });

    it('arrives in its place when the agent sees everything at the same time', async () => {
      const { near, far } = await open();
      near.send('.');
      await far.expect('.');
      await forwarding.agent.frozen(() => {
        near.send('before ');
        near.send('!', MSG_OOB);
        near.send(' between ');
        near.send('!', MSG_OOB);
        near.send(' after');
        near.finish();
      });
      expect(await far.outcome()).toEqual({ text: 'before ! between ! after', end: 'FIN' });
    });

    it('that is all there is arrives, and so does the end behind it', async () => {
      const { near, far } = await open();
      near.send('!', MSG_OOB);
      await far.expect('!');
      await forwarding.agent.frozen(() => {
        near.send('?', MSG_OOB);
        near.finish();
      });
      expect(await far.outcome()).toEqual({ text: '?', end: 'FIN' });
    });

    it('in a stream is neither lost nor the end of it', async () => {
      const { near, far } = await open();
      const total = 24 << 20;
      const { sent, received } = await transfer(near, far, total, (block) => block % 11 === 10);
      expect(received.bytes).toBe(total);
      expect(received.digest()).toEqual(sent.digest());
    });

    it('at the end of every burst of a stream holds nothing back', async () => {
      const { near, far } = await open();
      for (let burst = 0; burst < 6; burst++) {
        const isLast = (block: number) => block === 15;
        const { sent, received } = await transfer(near, far, 16 * BLOCK_BYTES, isLast);
        expect(received.digest()).toEqual(sent.digest());
      }
      near.finish();
      expect(await far.outcome()).toEqual({ text: '', end: 'FIN' });
    });
  });

  /** Sends blocks, the last byte of some of them urgent, and receives as many bytes. */
  async function transfer(
    near: TcpSocket,
    far: TcpSocket,
    total: number,
    isUrgent: (block: number) => boolean,
  ) {
    const sent = new Digester();
    const received = new Digester();
    const step = () => {
      while (sent.bytes < total) {
        const block = Math.floor(sent.bytes / BLOCK_BYTES);
        const rest = (block + 1) * BLOCK_BYTES - sent.bytes;
        const chunk = payload(sent.bytes, rest);
        const took = near.send(chunk, isUrgent(block) ? MSG_OOB : 0);
        if (took < 0) break;
        sent.add(chunk.subarray(0, took));
      }
      for (let chunk = far.receive(); chunk !== undefined; chunk = far.receive()) {
        if (!Buffer.isBuffer(chunk)) throw new Error(`the stream ended by ${chunk}`);
        received.add(chunk);
      }
      return received.bytes >= total;
    };
    await until(step, DEADLINE_MS, `${total} bytes`);
    return { sent, received };
  }
});
