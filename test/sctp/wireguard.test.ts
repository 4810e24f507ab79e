/** The kernel's own WireGuard, which most machines that run the tests lack. */
import { beforeAll, expect, it } from 'vitest';
import {
  HOST_ADDRESS,
  type Namespace,
  makeClient,
  makeHost,
  runIn,
} from '../harness/namespaces.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { publish } from '../harness/published.js';
import { describeWith, perSuite } from '../harness/suite.js';
import { addPeer, configureDevice, iperf, serveIn } from '../namespaces/udp-programs-support.js';

const PORT = 51820;
const INNER = { inside: 'fd00:9::1', client: 'fd00:9::2' } as const;
/** Some seconds on an emulated processor. */
const BYTES = 4_000_000;

describeWith([userNamespaces, ...['ip', 'iperf3', 'wg'].map(tool)], 'WireGuard', () => {
  const suite = perSuite();
  let client: Namespace;
  let serverKey: string;

  beforeAll(async () => {
    const host = await makeHost(suite);
    client = await makeClient(suite, host);
    const inside = await publish(suite, host, [`${PORT}:${PORT}/udp`]);
    await runIn(client, ['mount', '-t', 'tmpfs', 'tmpfs', '/run']);
    for (const namespace of [inside, client]) {
      await runIn(namespace, ['ip', 'link', 'add', 'wg0', 'type', 'wireguard']);
    }
    serverKey = await configureDevice(inside, INNER.inside, PORT);
    await addPeer(inside, await configureDevice(client, INNER.client, PORT), INNER.client);
    const server = ['iperf3', '--server', '--bind', INNER.inside];
    await serveIn(suite, inside, server, ['--tcp', `src = [${INNER.inside}]`]);
  });

  it.each([HOST_ADDRESS.v4, `[${HOST_ADDRESS.v6}]`])(
    'carries TCP both ways in a tunnel to %s',
    async (address) => {
      await addPeer(client, serverKey, INNER.inside, 'endpoint', `${address}:${PORT}`);
      for (const more of [[], ['--reverse']]) {
        const amount = ['--bytes', `${BYTES}`, ...more];
        const { bytes } = await iperf(client, '--client', INNER.inside, ...amount);
        // What is still on its way when the sender is done isn't counted.
        expect(bytes).toBeGreaterThan(BYTES / 2);
      }
      // It follows its peer: an answer from another address would have become the endpoint.
      const endpoint = await runIn(client, ['wg', 'show', 'wg0', 'endpoints']);
      expect(endpoint).toContain(`${address}:${PORT}`);
    },
  );
});
