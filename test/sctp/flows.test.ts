import { expect, it } from 'vitest';
import { startSctpForwarding } from '../harness/sctp-forwarding.js';
import { connectSctp } from '../harness/sctp-socket.js';
import { perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 15_000;
const HERE = '127.0.0.1';
const cleanup = perTest();

it('the associations of a port are told of one by one, with bytes and messages', async () => {
  const forwarding = await startSctpForwarding(cleanup);
  const listener = await forwarding.listen(cleanup);
  const port = await forwarding.publish(listener.port);
  const client = connectSctp(cleanup, port);
  const server = await listener.accept(cleanup);
  await client.deliver('question', { stream: 1 });
  await client.deliver('and another', { stream: 2 });
  await server.deliver('answer');
  const told = async () => (await forwarding.flows(port)).flows[0];
  const hasAll = async () => {
    const flow = await told();
    return flow?.packetsIn === 2 && flow.packetsOut === 1;
  };
  await until(hasAll, DEADLINE_MS, 'three messages');
  expect(await forwarding.flows(port)).toEqual({
    total: 1,
    flows: [
      {
        agent: forwarding.agent.pid,
        id: expect.any(Number) as number,
        client: { ip: HERE, port: client.port },
        server: { ip: HERE, port: listener.port },
        state: 'open',
        ageMs: expect.any(Number) as number,
        idleMs: expect.any(Number) as number,
        bytesIn: 'questionand another'.length,
        bytesOut: 'answer'.length,
        packetsIn: 2,
        packetsOut: 1,
      },
    ],
  });
  client.finish();
  await until(async () => (await forwarding.flows(port)).total === 0, DEADLINE_MS, 'its end');
});
