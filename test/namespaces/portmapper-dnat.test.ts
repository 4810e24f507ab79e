/** The rules of dnatRules in a real namespace: read by the driver, and applied by the kernel. */
import { beforeEach, expect, it } from 'vitest';
import { createApiClient } from '../../src/parent/api/client.js';
import { PROTOCOL, type PortBinding } from '../../src/parent/portmapper/contract.js';
import { dnatRules } from '../../src/parent/portmapper/dnat-rules.js';
import { createPortMapper } from '../../src/parent/portmapper/mapper.js';
import {
  CLIENT_ADDRESS,
  HOST_ADDRESS,
  HOLD,
  type Namespace,
  enter,
  hold,
  makeClient,
  makeHost,
  runIn,
} from '../harness/namespaces.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { run, start } from '../harness/processes.js';
import { describeWith, perTest } from '../harness/suite.js';
import { type Endpoint, answersTo, startDriver, udpAnswersTo } from './driver-support.js';

const DEADLINE_MS = 15_000;
const CONTAINER = { v4: '10.88.0.2', v6: 'fd00:88::2' } as const;
const GATEWAY = { v4: '10.88.0.1', v6: 'fd00:88::1' } as const;

const SERVER = `
  const udp = require('node:dgram').createSocket('udp6')
    .on('message', (text, { port, address }) => udp.send('container heard ' + text, port, address));
  const { createServer } = require('node:net');
  createServer((socket) => socket.on('error', () => {}).end('container ' + socket.localPort))
    .listen(80, () => udp.bind(80, () => console.log('serving')));`;

const HEARD = 'container heard hello';

/** The command that runs another in a namespace. */
type Enter = (...command: readonly string[]) => string[];

async function apply(within: Enter, script: string): Promise<void> {
  await run(within('nft', '-f', '-'), { input: script });
}

function binding(
  ip: string,
  childHostIP: string,
  hostPort: number,
  proto: number = PROTOCOL.tcp,
): PortBinding {
  const nat = { ip: childHostIP, port: hostPort };
  const addresses = { proto, ip, port: 80, hostPort, hostPortEnd: hostPort };
  return { ...addresses, childHostIP, nat, forwarding: true, rootlesskitUnsupported: false };
}

const NEEDS = [userNamespaces, tool('nft'), tool('ip')];

describeWith(NEEDS, 'the nftables script', () => {
  const test = perTest();
  let host: Namespace;

  beforeEach(async () => {
    host = await makeHost(test);
  });

  const inHost: Enter = (...command) => enter(host, ...command);

  /** A network namespace behind a gateway, with a server on port 80 of both families. */
  async function startContainer(inGateway: Enter): Promise<void> {
    const container = await hold(test, inGateway('unshare', '--net', ...HOLD));
    const inContainer: Enter = (...command) =>
      inGateway('nsenter', `--net=/proc/${container.pid}/ns/net`, ...command);
    const inside = [
      `ip addr add ${CONTAINER.v4}/24 dev eth0`,
      `ip addr add ${CONTAINER.v6}/64 dev eth0 nodad`,
      'ip link set eth0 up',
      `ip route add default via ${GATEWAY.v4}`,
      `ip -6 route add default via ${GATEWAY.v6}`,
    ];
    const outside = [
      `ip link add bridge0 type veth peer name eth0 netns ${container.pid}`,
      `ip addr add ${GATEWAY.v4}/24 dev bridge0`,
      `ip addr add ${GATEWAY.v6}/64 dev bridge0 nodad`,
      'ip link set bridge0 up',
      'echo 1 >/proc/sys/net/ipv4/ip_forward',
      'echo 1 >/proc/sys/net/ipv6/conf/all/forwarding',
    ];
    await run(inGateway('sh', '-e', '-c', outside.join('\n')));
    await run(inContainer('sh', '-e', '-c', inside.join('\n')));
    const server = await start(test, inContainer(process.execPath, '--eval', SERVER));
    await server.line(/^serving$/m, DEADLINE_MS);
  }

  it('leads clients to the container, through the kernel, until it is taken away', async () => {
    const client = await makeClient(test, host);
    await startContainer(inHost);
    const bindings = [PROTOCOL.tcp, PROTOCOL.udp].flatMap((proto) => [
      binding(CONTAINER.v4, HOST_ADDRESS.v4, 8080, proto),
      binding(CONTAINER.v6, HOST_ADDRESS.v6, 8080, proto),
    ]);
    const endpoints = [
      [HOST_ADDRESS.v4, 8080],
      [HOST_ADDRESS.v6, 8080],
    ] as const;
    for (const script of [dnatRules(bindings), dnatRules(bindings)]) {
      await apply(inHost, script);
      for (const from of [client, host]) {
        expect(await answersTo(from, endpoints)).toEqual(['container 80', 'container 80']);
        expect(await udpAnswersTo(from, endpoints)).toEqual([HEARD, HEARD]);
      }
    }
    await apply(inHost, dnatRules(bindings.slice(0, 1)));
    expect(await answersTo(client, endpoints)).toEqual(['container 80', 'ECONNREFUSED']);
    await apply(inHost, dnatRules([]));
    expect(await answersTo(client, endpoints)).toEqual(['ECONNREFUSED', 'ECONNREFUSED']);
    expect(await runIn(host, ['nft', 'list', 'tables'])).toBe('');
    // The addresses around the gateway are translated for nobody.
    expect(await answersTo(host, [[CLIENT_ADDRESS.v4, 8080]])).toEqual(['ECONNREFUSED']);
  });

  it('leads what the driver forwards to the container, on addresses that the mapper gave', async () => {
    const driver = await startDriver(test, host, { endpoints: [['127.0.0.1', 1]] });
    const client = createApiClient(driver.socketPath);
    const { childPID, portDriver } = await client.info();
    // It shares the mount namespace of the host.
    const nsenter = ['nsenter', '--preserve-credentials', '-U', '-n', '-t', String(childPID), '--'];
    const inChild: Enter = (...command) => inHost(...nsenter, ...command);
    await startContainer(inChild);
    const mapper = createPortMapper({ manager: client, info: () => client.info() });
    const bindings = await mapper.mapPorts(
      [PROTOCOL.tcp, PROTOCOL.udp].flatMap((proto) => {
        const request = { proto, port: 80, hostPort: 0, hostPortEnd: 0 };
        return [
          { ...request, ip: CONTAINER.v4, hostIP: '0.0.0.0' },
          { ...request, ip: CONTAINER.v6, hostIP: '::' },
        ];
      }),
    );
    await apply(inChild, dnatRules(bindings));
    const endpointsOf = (index: number): Endpoint[] =>
      ['127.0.0.1', '::1'].map((ip) => [ip, bindings[index]?.hostPort ?? 0]);
    const [tcp, udp] = [endpointsOf(0), endpointsOf(2)];
    expect(await answersTo(host, tcp)).toEqual(['container 80', 'container 80']);
    expect(await udpAnswersTo(host, udp)).toEqual([HEARD, HEARD]);
    await mapper.unmapPorts(bindings);
    expect(await answersTo(host, tcp)).toEqual(['ECONNREFUSED', 'ECONNREFUSED']);
    expect(await udpAnswersTo(host, udp)).toEqual(['ECONNREFUSED', 'ECONNREFUSED']);

    const request = { proto: PROTOCOL.sctp, port: 80, hostPort: 0, hostPortEnd: 0 };
    const sctp = await mapper.mapPorts([{ ...request, ip: CONTAINER.v4, hostIP: '0.0.0.0' }]);
    const isListed = portDriver?.protos?.includes('sctp4') === true;
    expect(sctp).toMatchObject([{ rootlesskitUnsupported: !isListed, forwarding: isListed }]);
    expect(dnatRules(sctp).includes('sctp dport')).toBe(isListed);
  });
});
