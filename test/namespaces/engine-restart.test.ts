import { beforeAll, expect, it } from 'vitest';
import { tool, userNamespaces } from '../harness/needs.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { type Forwarding, startForwarding } from '../harness/tcp-forwarding.js';
import { connect } from '../harness/tcp-socket.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 15_000;

describeWith([userNamespaces, tool('ip')], 'an agent that is killed', () => {
  const suite = perSuite();
  const test = perTest();
  let forwarding: Forwarding;

  beforeAll(async () => {
    forwarding = await startForwarding(suite);
  });

  it('is replaced while its ports stay open, and its connections end', async () => {
    const listener = await forwarding.listen(test);
    const port = await forwarding.publish(listener.port);
    const old = connect(test, port);
    const oldServer = await listener.accept(test);
    const { agent } = forwarding;
    // One that dies younger is given up: the next one would die as well.
    await until(() => agent.ageMs() > 1_500, DEADLINE_MS, 'an agent of some age');

    process.kill(agent.pid, 'SIGKILL');
    const client = connect(test, port);
    client.send('question');
    const server = await listener.accept(test);
    await server.expect('question');
    server.send('answer');
    await client.expect('answer');

    expect((await old.outcome()).end).toMatch(/^(FIN|ECONNRESET)$/);
    expect((await oldServer.outcome()).end).toMatch(/^(FIN|ECONNRESET)$/);
    expect(forwarding.agent.pid).not.toBe(agent.pid);
    client.close();
    server.close();
    await forwarding.idle();
  });
});
