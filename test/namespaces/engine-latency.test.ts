/** What the agent asks of the kernel so that bytes are not kept waiting. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { type Need, tool, userNamespaces } from '../harness/needs.js';
import { run } from '../harness/processes.js';
import { describeWith, perTest } from '../harness/suite.js';
import { startForwarding } from '../harness/tcp-forwarding.js';
import { connect } from '../harness/tcp-socket.js';

/** Congestion control and state of the sockets that the filter names. */
const SS = ['ss', '--no-header', '--tcp', '--info', '--oneline'];
const PACED = /\bbbr\b/;

describeWith([userNamespaces, tool('ip'), tool('ss')], 'the legs of a connection', () => {
  const cleanup = perTest();

  // Where bbr is not the default, as it is in many servers, neither leg was ever paced.
  it('are not paced by bbr within the machine', async () => {
    const forwarding = await startForwarding(cleanup);
    const listener = await forwarding.listen(cleanup);
    const port = await forwarding.publish(listener.port);
    connect(cleanup, port);
    await listener.accept(cleanup);
    const toServer = await forwarding.run([...SS, `dport = :${listener.port}`]);
    const toClient = await run([...SS, `sport = :${port}`]);
    for (const sockets of [toServer, toClient]) {
      expect(sockets).toContain('ESTAB');
      expect(sockets).not.toMatch(PACED);
    }
  });
});

const SLICE = /^se\.slice\s+:\s+(\d+)$/m;
const sliceOf = (pid: number | 'self') =>
  SLICE.exec(readFileSync(`/proc/${pid}/sched`, 'utf8'))?.[1];
const slices: Need = () =>
  sliceOf('self') === undefined ? 'slices of the processor: Linux 6.12 or later' : undefined;

describeWith([userNamespaces, tool('ip'), slices], "the agent's thread", () => {
  const cleanup = perTest();

  it('asks for the shortest slices of the processor', async () => {
    const forwarding = await startForwarding(cleanup);
    expect(sliceOf(forwarding.agent.pid)).toBe('100000');
    expect(Number(sliceOf('self'))).toBeGreaterThan(100_000);
  });
});
