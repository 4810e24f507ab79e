import { beforeAll, expect, it } from 'vitest';
import { Driver } from '../../dist/parent/driver.js';
import { makeHost } from '../harness/namespaces.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { type Forwarding, startForwarding } from '../harness/tcp-forwarding.js';
import { connect } from '../harness/tcp-socket.js';
import { until } from '../harness/wait.js';
import { isRunning } from './survive-support.js';

const DEADLINE_MS = 15_000;
/** Of a container, to which an engine's rule leads from CHILD_PORT. */
const TARGET = '198.51.100.7';
const CHILD_PORT = 4242;

describeWith([userNamespaces, tool('ip'), tool('nft')], 'an agent that is killed', () => {
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

  it('leaves its successor the targets that it knew', async () => {
    await forwarding.run(['ip', 'addr', 'add', `${TARGET}/32`, 'dev', 'lo']);
    const listener = await forwarding.listen(test, TARGET);
    const rule = `tcp dport ${CHILD_PORT} dnat to ${TARGET}:${listener.port}`;
    const chain = `type nat hook prerouting priority dstnat; ${rule};`;
    await forwarding.run(['nft', `table ip t { chain c { ${chain} }; }`]);
    const port = await forwarding.publish(CHILD_PORT);
    connect(test, port);
    await listener.accept(test);

    await forwarding.run(['nft', 'delete table ip t']);
    const { agent } = forwarding;
    process.kill(agent.pid, 'SIGKILL');
    connect(test, port);
    await listener.accept(test);
    expect(forwarding.agent.pid).not.toBe(agent.pid);
  });

  it('is not replaced at the end of its driver, which its spare one does not outlive', async () => {
    const child = await makeHost(test);
    const quit = new AbortController();
    const driver = new Driver({ agents: 1 });
    let ended = Promise.resolve();
    await new Promise<void>((ready) => {
      ended = driver.runParentDriver(ready, quit.signal, child);
    });
    const agents = async () => (await driver.info()).agents.running;
    await until(async () => (await agents()).length === 2, DEADLINE_MS, 'a spare agent');
    const pids = (await agents()).map(({ pid }) => pid);
    quit.abort();
    await ended;
    expect(pids.filter(isRunning)).toEqual([]);
  });

  it('may end after its driver has left it, in the process of that driver', async () => {
    const child = await makeHost(test);
    const quit = new AbortController();
    const driver = new Driver({ agents: 1 });
    let ended = Promise.resolve();
    await new Promise<void>((ready) => {
      ended = driver.runParentDriver(ready, quit.signal, child);
    });
    const [{ pid } = { pid: 0 }] = (await driver.info()).agents.running;
    driver.leave();
    quit.abort();
    await ended;
    expect(isRunning(pid)).toBe(true);
    process.kill(pid, 'SIGKILL');
    // A rejection that nobody handles would fail this test.
    await until(() => !isRunning(pid), DEADLINE_MS, 'the end of the agent');
  });
});
