import { expect, it } from 'vitest';
import { MAX_UDP_TIMEOUT_MS } from '../../src/msg/udp-timeouts.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { which } from '../harness/paths.js';
import { describeWith, perTest } from '../harness/suite.js';
import { type UdpForwarding, startUdpForwarding } from '../harness/udp-forwarding.js';
import { udpSocket } from '../harness/udp-socket.js';
import { until } from '../harness/wait.js';
import { programs } from './dnat-support.js';
import { expectExchange, expectGreeting } from './udp-support.js';

const DEADLINE_MS = 15_000;
const SHORT_MS = 300;
/** More than a busy machine keeps a test from speaking. */
const PAUSE_MS = 3000;
const LONG = { unrepliedMs: MAX_UDP_TIMEOUT_MS, repliedMs: MAX_UDP_TIMEOUT_MS };

const hasNone = ({ flows }: { readonly flows: number }) => flows === 0;

describeWith([userNamespaces, tool('ip'), tool('nft')], 'a UDP session', () => {
  const test = perTest();

  async function connected(forwarding: UdpForwarding) {
    const server = await forwarding.server(test);
    const port = await forwarding.publish(server.port);
    return { server, port, client: udpSocket(test).connect('127.0.0.1', port) };
  }

  /** A session without an answer, to its end; returns how many there were. */
  async function sessionsWithoutAnswer(): Promise<number> {
    const udpTimeouts = { ...LONG, unrepliedMs: SHORT_MS };
    const forwarding = await startUdpForwarding(test, { udpTimeouts });
    const { client, server } = await connected(forwarding);
    await expectGreeting(client, server);
    await forwarding.untilStats('no session', hasNone);
    return (await forwarding.stats()).accepted;
  }

  it('without an answer ends after the first time limit', async () => {
    expect(await sessionsWithoutAnswer()).toBe(1);
  });

  it('does not end before its first datagram has left', async () => {
    // While the rules are being read, datagrams are held.
    const script = `case "$*" in *list*) exec sleep infinity; esac; exec ${which('nft')} "$@"`;
    const { path } = programs(test, { nft: { script } });
    const { PATH } = process.env;
    test.defer(() => (process.env['PATH'] = PATH));
    process.env['PATH'] = path;
    expect(await sessionsWithoutAnswer()).toBe(1);
  });

  it('with an answer ends after the second, and leaves nothing behind', async () => {
    const udpTimeouts = { ...LONG, repliedMs: SHORT_MS };
    const forwarding = await startUdpForwarding(test, { udpTimeouts });
    const { client, server } = await connected(forwarding);
    const fds = forwarding.agent.fds().length;
    await expectExchange(client, server);
    await forwarding.untilStats('no session', hasNone);
    await until(() => forwarding.agent.fds().length === fds, DEADLINE_MS, 'no fd of it');
    // What comes next is another one.
    await expectExchange(client, server);
    expect((await forwarding.stats()).accepted).toBe(2);
  });

  it.each(['client', 'server'])('lives on while the %s alone speaks', async (who) => {
    const udpTimeouts = { ...LONG, repliedMs: PAUSE_MS };
    const forwarding = await startUdpForwarding(test, { udpTimeouts });
    const { client, server } = await connected(forwarding);
    const { from } = await expectExchange(client, server);
    const end = performance.now() + 2 * PAUSE_MS;
    let last = from;
    const speak = async () => {
      if (who === 'client') client.send('on');
      else server.send('on', { to: from });
      const { from: sender } = await (who === 'client' ? server : client).receive();
      if (who === 'client') last = sender;
      return performance.now() > end;
    };
    await until(speak, DEADLINE_MS, 'the end of a speech');
    expect(last).toEqual(from);
    expect(await forwarding.stats()).toMatchObject({ accepted: 1, flows: 1 });
  });

  it('survives its agent: the next one serves the port, and nothing that waited is lost', async () => {
    const forwarding = await startUdpForwarding(test);
    const { client, server } = await connected(forwarding);
    await expectExchange(client, server);
    const { agent } = forwarding;
    // One that dies younger is given up: the next one would die as well.
    await until(() => agent.ageMs() > 1500, DEADLINE_MS, 'an agent of some age');
    process.kill(agent.pid, 'SIGKILL');
    await expectExchange(client, server);
    expect(forwarding.agent.pid).not.toBe(agent.pid);
  });

  it('ends with its port, whose address is free at once', async () => {
    const forwarding = await startUdpForwarding(test);
    const { client, server, port } = await connected(forwarding);
    const question = await expectExchange(client, server);
    await forwarding.unpublish(port);
    const taken = udpSocket(test).bind('127.0.0.1', port);
    expect(await forwarding.stats()).toMatchObject({ flows: 0 });
    server.answer(question, 'too late');
    client.send('to whom it may concern');
    expect(await taken.receiveText()).toBe('to whom it may concern');
    expect(client.tryReceive()).toBeUndefined();
  });

  it('may have a TCP port of the same number beside it', async () => {
    const forwarding = await startUdpForwarding(test);
    const { client, server, port } = await connected(forwarding);
    const spec = { parentIP: '127.0.0.1', parentPort: port, childPort: 1 };
    await forwarding.driver.addPort({ proto: 'tcp', ...spec });
    await expectExchange(client, server);
    expect(await forwarding.driver.listPorts()).toHaveLength(2);
  });
});
