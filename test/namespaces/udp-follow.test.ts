/** Sessions whose port leads elsewhere by now: the engine has written another rule. */
import { expect, it } from 'vitest';
import { PROTOCOL } from '../../src/parent/portmapper/contract.js';
import { dnatRules } from '../../src/parent/portmapper/dnat-rules.js';
import { enter } from '../harness/namespaces.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { run } from '../harness/processes.js';
import { describeWith, perTest } from '../harness/suite.js';
import { startUdpForwarding, type UdpForwarding } from '../harness/udp-forwarding.js';
import { udpSocket } from '../harness/udp-socket.js';
import { until } from '../harness/wait.js';
import { expectExchange } from './udp-support.js';

const DEADLINE_MS = 20_000;
const HERE = '127.0.0.1';
const [BEFORE, AFTER] = ['10.88.0.2', '10.88.0.3'] as const;
const [CHILD_PORT, PORT] = [8053, 53];

/** Runs a command in the namespace. */
function inside({ namespace }: UdpForwarding, command: string, input = ''): Promise<string> {
  return run(enter(namespace, 'sh', '-e', '-c', command), { input });
}

function leadTo(forwarding: UdpForwarding, ip: string): Promise<string> {
  const request = { proto: PROTOCOL.udp, ip, port: PORT, hostPort: 1, hostPortEnd: 1 };
  const nat = { ip: HERE, port: CHILD_PORT };
  const binding = { ...request, childHostIP: HERE, nat, forwarding: true };
  return inside(forwarding, 'nft -f -', dnatRules([{ ...binding, rootlesskitUnsupported: false }]));
}

describeWith([userNamespaces, tool('ip'), tool('nft')], 'an answered UDP session', () => {
  const test = perTest();

  it.each(['stays, and says nothing', 'refuses', 'has gone'])(
    'goes to the new server when the old one %s',
    async (how) => {
      const forwarding = await startUdpForwarding(test);
      await inside(forwarding, `for ip in ${BEFORE} ${AFTER}; do ip addr add $ip dev lo; done`);
      await leadTo(forwarding, BEFORE);
      const [old, fresh] = [
        await forwarding.server(test, BEFORE, PORT),
        await forwarding.server(test, AFTER, PORT),
      ];
      const port = await forwarding.publish(CHILD_PORT);
      const client = udpSocket(test).connect(HERE, port);
      for (let exchange = 0; exchange < 2; exchange++) await expectExchange(client, old);
      const told = async () => (await forwarding.flows(port)).flows[0];
      expect((await told())?.server).toEqual({ ip: BEFORE, port: PORT });

      if (how !== 'stays, and says nothing') old.close();
      if (how === 'has gone') await inside(forwarding, `ip addr del ${BEFORE} dev lo`);
      await leadTo(forwarding, AFTER);
      const ask = () => {
        client.trySend('moved?');
        return fresh.tryReceive();
      };
      const question = await until(ask, DEADLINE_MS, 'a datagram at the new address');
      fresh.answer(question, 'yes');
      expect(await client.receiveText()).toBe('yes');
      expect(await forwarding.stats()).toMatchObject({ accepted: 1, flows: 1 });
      expect((await told())?.server).toEqual({ ip: AFTER, port: PORT });
      const { ports } = await forwarding.driver.snapshot();
      expect(ports.map(({ server }) => server)).toEqual([{ ip: AFTER, port: PORT }]);
    },
  );

  it('stays where it is while the rule does, however silent the server', async () => {
    const forwarding = await startUdpForwarding(test);
    await inside(forwarding, `ip addr add ${BEFORE} dev lo`);
    await leadTo(forwarding, BEFORE);
    const server = await forwarding.server(test, BEFORE, PORT);
    const port = await forwarding.publish(CHILD_PORT);
    const client = udpSocket(test).connect(HERE, port);
    const { from } = await expectExchange(client, server);
    const start = performance.now();
    const isLong = () => {
      client.send('on');
      return performance.now() - start > 3 * 1000;
    };
    await until(isLong, DEADLINE_MS, 'a silence');
    while (server.tryReceive() !== undefined);
    expect((await expectExchange(client, server)).from).toEqual(from);
  });
});
