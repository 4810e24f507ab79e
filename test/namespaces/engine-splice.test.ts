import { readFileSync } from 'node:fs';
import { beforeAll, expect, it } from 'vitest';
import type { Cleanup } from '../harness/cleanup.js';
import { type Need, tool, userNamespaces } from '../harness/needs.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { type Forwarding, startForwarding } from '../harness/tcp-forwarding.js';
import { KernelPipe } from '../harness/tcp-kernel.js';
import { Transfer } from '../harness/tcp-transfer.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 30_000;
const MIB = 1024 * 1024;
const PAGE_BYTES = 4096;
const PIPE_BYTES = 256 * 1024;
const IDLE_CONNECTIONS = 3000;

const quotaPages = Number(readFileSync('/proc/sys/fs/pipe-user-pages-soft', 'utf8'));
const mostPipes = Math.floor((quotaPages * PAGE_BYTES) / 4 / PIPE_BYTES);

const pipeQuota: Need = () =>
  process.getuid?.() === 0 ? 'a pipe quota, which root does not have' : undefined;

describeWith([userNamespaces, pipeQuota, tool('ip')], 'splicing', () => {
  const suite = perSuite();
  const test = perTest();
  let forwarding: Forwarding;
  let pipesOfNode: number;

  beforeAll(async () => {
    forwarding = await startForwarding(suite);
    pipesOfNode = forwarding.agent.pipes();
  });

  // In this order: an agent keeps the pipes that it has made, for later streams.

  it('is not prepared for by idle connections', async () => {
    const pairs = await forwarding.connections(test, idleConnections());
    for (const { client } of pairs) client.send('?');
    for (const { server } of pairs) {
      await server.expect('?');
      server.send('!');
    }
    for (const { client } of pairs) await client.expect('!');
    expect(forwarding.agent.sockets()).toBeGreaterThan(2 * pairs.length);
    expect(forwarding.agent.pipes()).toBe(pipesOfNode);
  });

  it('begins when a direction streams, and one pipe serves one stream after the other', async () => {
    for (let stream = 0; stream < 3; stream++) {
      const { client, server } = await forwarding.connection(test);
      const transfer = new Transfer(client, server, 8 * MIB);
      await transfer.complete();
      expect(transfer.received.digest()).toEqual(transfer.sent.digest());
      expect((await forwarding.stats()).pipes).toBe(1);
    }
    expect(forwarding.agent.pipes()).toBe(pipesOfNode + 1);
  });

  it('takes a quarter of the pipes that the user may have, and other streams copy', async () => {
    const pairs = await forwarding.connections(test, mostPipes + 16);
    const transfers = pairs.map(({ client, server }) => new Transfer(client, server, 64 * MIB));
    // A reader that is slower than all buffers on the way lets a stream hold on to its pipe.
    const isAtLimit = async () => {
      for (const transfer of transfers) if (transfer.write() === 0) transfer.readOnce();
      return (await forwarding.stats()).pipes === mostPipes;
    };
    await until(isAtLimit, DEADLINE_MS, `streams with ${mostPipes} pipes`);
    for (let round = 0; round < 10; round++) await isAtLimit();
    expect(forwarding.agent.pipes()).toBe(pipesOfNode + mostPipes);
    for (const transfer of transfers) {
      await transfer.drain();
      expect(transfer.received.digest()).toEqual(transfer.sent.digest());
    }
    expect((await forwarding.stats()).pipes).toBe(mostPipes);
  });

  it('is replaced by copying when the user has no pipes left', async () => {
    const other = await startForwarding(test);
    const { client, server } = await other.connection(test);
    usePipesUp(test);
    const transfer = new Transfer(client, server, 8 * MIB);
    await transfer.complete();
    expect(transfer.received.digest()).toEqual(transfer.sent.digest());
    expect((await other.stats()).pipes).toBe(0);
  });
});

/** As many as the limit on open files leaves room for, at two fds each here and in the agent. */
function idleConnections(): number {
  const limits = readFileSync('/proc/self/limits', 'utf8');
  const most = Number(/^Max open files +\d+ +(\d+)/m.exec(limits)?.[1]);
  return Math.min(IDLE_CONNECTIONS, Math.floor(most / 2) - 200);
}

/** Takes all that the user's quota allows, until a pipe of the agent's size can't be had. */
function usePipesUp(cleanup: Cleanup): void {
  for (const bytes of [1 * MIB, PIPE_BYTES]) {
    while (new KernelPipe(cleanup).resize(bytes) >= bytes);
  }
}
