import { beforeAll, describe, expect, it } from 'vitest';
import { tool, userNamespaces } from '../harness/needs.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { type Forwarding, type Pair, startForwarding } from '../harness/tcp-forwarding.js';
import { MSG_OOB } from '../harness/tcp-socket.js';
import { BLOCK_BYTES, Transfer } from '../harness/tcp-transfer.js';

const BURST_BLOCKS = 8;
const urgentLast = (block: number) => (block === BURST_BLOCKS - 1 ? MSG_OOB : 0);
const urgentEvery11th = (block: number) => (block % 11 === 10 ? MSG_OOB : 0);

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
      near.finish();
      expect(await far.outcome()).toEqual({ text: '', end: 'FIN' });
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
      const transfer = new Transfer(near, far, 24 << 20, { flagsOf: urgentEvery11th });
      await transfer.complete();
      expect(transfer.received.digest()).toEqual(transfer.sent.digest());
    });

    it('at the very end of a stream arrives before the FIN behind it', async () => {
      const { near, far } = await open();
      const transfer = new Transfer(near, far, BURST_BLOCKS * BLOCK_BYTES, { flagsOf: urgentLast });
      await forwarding.agent.frozen(() => {
        transfer.write();
        near.finish();
      });
      await transfer.drain();
      expect(transfer.isSent).toBe(true);
      expect(transfer.received.digest()).toEqual(transfer.sent.digest());
      expect(await far.outcome()).toEqual({ text: '', end: 'FIN' });
    });

    it('at the end of every burst of a stream holds nothing back', async () => {
      const { near, far } = await open();
      for (let burst = 0; burst < 6; burst++) {
        const transfer = new Transfer(near, far, BURST_BLOCKS * BLOCK_BYTES, {
          flagsOf: urgentLast,
        });
        await transfer.complete();
        expect(transfer.received.digest()).toEqual(transfer.sent.digest());
      }
      near.finish();
      expect(await far.outcome()).toEqual({ text: '', end: 'FIN' });
    });
  });
});
