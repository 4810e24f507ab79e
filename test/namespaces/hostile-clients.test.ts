/** Clients that hold connections without using them: each costs little, and nobody else anything. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { tool, userNamespaces } from '../harness/needs.js';
import { describeWith, perTest } from '../harness/suite.js';
import { startForwarding } from '../harness/tcp-forwarding.js';
import { fill } from '../harness/tcp-socket.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 30_000;

const MIB = 1024 * 1024;
/** Of each kind. */
const CLIENTS = 100;
/** One slab of 64 KiB for each that is sent more than it reads, and as much again for the rest. */
const MOST_GROWTH = (2 * CLIENTS * 64 * 1024) / MIB;

describeWith([userNamespaces, tool('ip')], 'clients that do nothing', () => {
  const cleanup = perTest();

  it('never sending, never reading or half closed, are kept and cost others nothing', async () => {
    const forwarding = await startForwarding(cleanup);
    const { agent } = forwarding;
    const residentMiB = () =>
      Number(
        /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${agent.pid}/status`, 'utf8'))?.[1],
      ) / 1024;
    const other = await forwarding.connection(cleanup);
    const fdsBefore = agent.fds().length;
    const before = residentMiB();
    const silent = await forwarding.connections(cleanup, CLIENTS);
    const halfClosed = await forwarding.connections(cleanup, CLIENTS);
    const unreading = await forwarding.connections(cleanup, CLIENTS);
    for (const { client } of halfClosed) client.finish();
    for (const { server } of unreading) expect(fill(server)).toBeGreaterThan(0);

    for (let round = 0; round < 100; round++) {
      other.client.send(`question ${round}`);
      await other.server.expect(`question ${round}`);
      other.server.send(`answer ${round}`);
      await other.client.expect(`answer ${round}`);
    }
    const { flows, pipes, shed } = await forwarding.stats();
    expect({ flows, shed }).toEqual({ flows: 3 * CLIENTS + 1, shed: 0 });
    console.log(`${pipes} pipes, ${(residentMiB() - before).toFixed(1)} MiB more`);
    expect(residentMiB() - before).toBeLessThan(MOST_GROWTH);

    const all = [...silent, ...halfClosed, ...unreading, other];
    for (const { client, server } of all) [client, server].forEach((socket) => socket.close());
    await forwarding.idle();
    // Pipes stay in the pool.
    const left = () => agent.fds().filter((target) => !target.startsWith('pipe:')).length;
    await until(() => left() <= fdsBefore + 1, DEADLINE_MS, `${fdsBefore} fds as before`);
  });
});
