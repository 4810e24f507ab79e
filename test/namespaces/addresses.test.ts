/**
 * Which addresses a port listens on and where its connections go: real listeners on every address
 * that the host has, and real servers on every address that might be taken by mistake.
 */
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Spec } from '../../src/msg/port.js';
import { type Namespace, makeClient, makeHost, runIn } from '../harness/namespaces.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { describeWith, perSuite } from '../harness/suite.js';
import { type RunningDriver, answersTo, startDriver } from './driver-support.js';

const PORT = 8080;
const V4 = ['198.51.100.1', '198.51.100.3', '127.0.0.1', '127.0.0.2', '127.0.0.3'] as const;
const V6 = ['fd00:1::1', 'fd00:1::3', '::1'] as const;
const ALL = [...V4, ...V6];
/** Reached over the link, the others from the host itself. */
const ON_THE_LINK: readonly string[] = [V4[0], V4[1], V6[0], V6[1]];

/** The child namespace has the host's own addresses too: nothing may reach a server on them. */
const CHILD_ADDRESSES = ['198.51.100.1/32', 'fd00:1::1/128 nodad', '10.9.8.7/32'];
const EVERYWHERE = ['127.0.0.1', '127.0.0.2', '127.0.0.3', '::1', '198.51.100.1', 'fd00:1::1'];
const SERVERS = [
  ...[...EVERYWHERE, '10.9.8.7'].map((ip) => [ip, 80] as const),
  ...EVERYWHERE.map((ip) => [ip, 81] as const),
  ['127.0.0.1', 84],
  ['::1', 86],
  ['198.51.100.1', 89],
  ['fd00:1::1', 89],
] as const;

/** What clients hear at the addresses that don't refuse them. */
type Heard = Readonly<Record<string, string>>;

const at = (ips: readonly string[], answer: string): Heard =>
  Object.fromEntries(ips.map((ip) => [ip, answer]));

/** A client on the link, whose address is kept, is led to the loopback address of its own family. */
const byFamily = (ips: readonly string[], port: number): Heard =>
  Object.fromEntries(
    ips.map((ip) => {
      const isIPv6 = ip.includes(':') && ON_THE_LINK.includes(ip);
      return [ip, `${isIPv6 ? '::1' : '127.0.0.1'} ${port}`];
    }),
  );

/** The agent took the connection, and nobody in the child namespace would have it. */
const RESET = 'ECONNRESET';

type Row = readonly [name: string, specs: readonly Partial<Spec>[], heard: Heard];

const LISTENING: readonly Row[] = [
  ['tcp without a parentIP: both families', [{}], byFamily(ALL, 80)],
  ['tcp on an empty parentIP: both families', [{ parentIP: '' }], byFamily(ALL, 80)],
  ['tcp on 0.0.0.0: both families', [{ parentIP: '0.0.0.0' }], byFamily(ALL, 80)],
  ['tcp on ::: both families', [{ parentIP: '::' }], byFamily(ALL, 80)],
  ['tcp4: IPv4 alone', [{ proto: 'tcp4' }], at(V4, '127.0.0.1 80')],
  ['tcp4 on 0.0.0.0: IPv4 alone', [{ proto: 'tcp4', parentIP: '0.0.0.0' }], at(V4, '127.0.0.1 80')],
  ['tcp6: IPv6 alone', [{ proto: 'tcp6' }], byFamily(V6, 80)],
  ['tcp6 on ::: IPv6 alone', [{ proto: 'tcp6', parentIP: '::' }], byFamily(V6, 80)],
  [
    'tcp4 and tcp6 side by side on one port',
    [{ proto: 'tcp4' }, { proto: 'tcp6', childPort: 81 }],
    { ...at(V4, '127.0.0.1 80'), ...byFamily(V6, 81) },
  ],
  [
    'tcp on 0.0.0.0 as tcp4, on :: as tcp6, as Docker publishes',
    [
      { proto: 'tcp6', parentIP: '::', childIP: '::1' },
      { proto: 'tcp4', parentIP: '0.0.0.0', childIP: '127.0.0.1' },
    ],
    { ...at(V4, '127.0.0.1 80'), ...at(V6, '::1 80') },
  ],
  ...['198.51.100.1', '198.51.100.3', 'fd00:1::1', 'fd00:1::3'].map(
    (parentIP): Row => [`${parentIP}: there alone`, [{ parentIP }], byFamily([parentIP], 80)],
  ),
  [
    'three addresses of one family on one port, each a port of its own',
    [
      { parentIP: '198.51.100.1', childPort: 81 },
      { parentIP: '198.51.100.3' },
      { parentIP: '127.0.0.1', childIP: '10.9.8.7' },
    ],
    { '198.51.100.1': '127.0.0.1 81', '198.51.100.3': '127.0.0.1 80', '127.0.0.1': '10.9.8.7 80' },
  ],
];

const DIALLING: readonly Row[] = [
  ['v4 to v6', [{ parentIP: '198.51.100.1', childIP: '::1' }], at(['198.51.100.1'], '::1 80')],
  [
    'v6 to v4',
    [{ proto: 'tcp6', parentIP: 'fd00:1::1', childIP: '10.9.8.7' }],
    at(['fd00:1::1'], '10.9.8.7 80'),
  ],
  ['v6 to v6', [{ proto: 'tcp6', childIP: '::1' }], at(V6, '::1 80')],
  ['both to v6', [{ childIP: '::1' }], at(ALL, '::1 80')],
  ['both to v4', [{ childIP: '10.9.8.7' }], at(ALL, '10.9.8.7 80')],
  [
    'loopback addresses stay what they are, and don’t collide',
    ['127.0.0.1', '127.0.0.2', '127.0.0.3', '::1'].map((parentIP) => ({ parentIP })),
    {
      '127.0.0.1': '127.0.0.1 80',
      '127.0.0.2': '127.0.0.2 80',
      '127.0.0.3': '127.0.0.3 80',
      '::1': '::1 80',
    },
  ],
  [
    'a loopback address of IPv4 is not replaced by another one',
    [{ parentIP: '127.0.0.2', childPort: 84 }],
    at(['127.0.0.2'], RESET),
  ],
  [
    'the host’s addresses are never dialled, though a server is on them in the child namespace',
    [{ childPort: 89 }],
    at(ALL, RESET),
  ],
  [
    'nor when they are the parentIP',
    ['198.51.100.1', 'fd00:1::1'].map((parentIP) => ({ parentIP, childPort: 89 })),
    at(['198.51.100.1', 'fd00:1::1'], RESET),
  ],
  [
    '::1 for an IPv6 port where 127.0.0.1 refuses',
    [{ proto: 'tcp6', childPort: 86 }],
    at(V6, '::1 86'),
  ],
  ['::1 for a port of both families, too', [{ childPort: 86 }], at(ALL, '::1 86')],
  [
    '::1 for one IPv6 address, too',
    [{ parentIP: 'fd00:1::3', childPort: 86 }],
    at(['fd00:1::3'], '::1 86'),
  ],
  ['no ::1 for an IPv4 port', [{ proto: 'tcp4', childPort: 86 }], at(V4, RESET)],
  [
    '127.0.0.1 for the port of ::1 where ::1 refuses',
    [{ parentIP: '::1', childPort: 84 }],
    at(['::1'], '127.0.0.1 84'),
  ],
  ['no other address when childIP is given', [{ childIP: '::1', childPort: 84 }], at(ALL, RESET)],
];

describeWith([userNamespaces, tool('ip'), tool('unshare'), tool('nsenter')], 'a port', () => {
  const suite = perSuite();
  let host: Namespace;
  let client: Namespace;
  let driver: RunningDriver;

  beforeAll(async () => {
    host = await makeHost(suite);
    client = await makeClient(suite, host);
    for (const address of ['198.51.100.3/24', 'fd00:1::3/64 nodad', 'fe80::1/64 nodad']) {
      await runIn(host, ['sh', '-c', `ip addr add ${address} dev client0`]);
    }
    await runIn(client, ['sh', '-c', 'ip addr add fe80::2/64 dev host0 nodad']);
    driver = await startDriver(suite, host, { addresses: CHILD_ADDRESSES, endpoints: SERVERS });
  });

  afterEach(() => driver.removeAll());

  /** From the client for what is on the link, from the host for its loopback addresses. */
  async function heardEverywhere(): Promise<Heard> {
    const local = ALL.filter((ip) => !ON_THE_LINK.includes(ip));
    const [near, far] = await Promise.all([
      answersTo(
        host,
        local.map((ip) => [ip, PORT]),
      ),
      answersTo(
        client,
        ON_THE_LINK.map((ip) => [ip, PORT]),
      ),
    ]);
    const all = [...local, ...ON_THE_LINK].map((ip, index) => [ip, [...near, ...far][index] ?? '']);
    return Object.fromEntries(all.filter(([, answer]) => answer !== 'ECONNREFUSED')) as Heard;
  }

  describe.each([
    ['listens', LISTENING],
    ['connects', DIALLING],
  ] as const)('%s', (_, rows) => {
    it.each(rows)('%s', async (_name, specs, heard) => {
      for (const spec of specs) {
        await driver.add({ proto: 'tcp', parentPort: PORT, childPort: 80, ...spec });
      }
      const whileOpen = await heardEverywhere();
      await driver.removeAll();
      expect(whileOpen).toEqual(heard);
      expect(await heardEverywhere()).toEqual({});
    });
  });

  it('listens on a link-local address of an interface, whatever the interface is called', async () => {
    // A name that a zone of letters and digits would not hold.
    await runIn(host, [
      'sh',
      '-ec',
      `ip link add br-1.2 type veth peer name peer0
       ip addr add fe80::3/64 dev br-1.2 nodad
       for device in br-1.2 peer0; do ip link set $device up; done`,
    ]);
    const spec = { proto: 'tcp6', parentPort: PORT, childPort: 80 } as const;
    await driver.add({ ...spec, parentIP: 'fe80::1%client0' });
    await driver.add({ ...spec, parentIP: 'fe80::3%br-1.2', childPort: 81 });
    expect(await answersTo(client, [['fe80::1%host0', PORT]])).toEqual(['127.0.0.1 80']);
    expect(await answersTo(host, [['fe80::3%br-1.2', PORT]])).toEqual(['127.0.0.1 81']);
    await driver.removeAll();
    const { body } = await driver.post({ ...spec, parentIP: 'fe80::1%nowhere0' });
    expect(JSON.parse(body)).toEqual({
      message: 'there is no network interface nowhere0; `ip link` lists those of this host',
    });
  });

  it('conflicts with another exactly where the kernel would have them conflict', async () => {
    const dist = new URL('../../dist/parent', import.meta.url).pathname;
    const addresses = ['0.0.0.0', '::', ...ALL, 'fd00:1:0::1', 'fe80::1%client0'];
    const script = `
      import { hostAddresses, listenAll, overlaps } from '${dist}/listen.js';
      const specs = ${JSON.stringify(addresses)}.map((parentIP) => ({
        proto: parentIP.includes(':') ? 'tcp6' : 'tcp4', parentIP, parentPort: 9000, childPort: 80,
      }));
      const differences = [];
      for (const first of specs) {
        const sockets = await listenAll(first);
        for (const second of specs) {
          const more = await listenAll(second).catch(() => []);
          for (const socket of more) socket.close();
          const [one, other] = [first, second].map((spec) => hostAddresses(spec)[0]);
          if (overlaps(one, other) !== (more.length === 0)) {
            differences.push([first.parentIP, second.parentIP]);
          }
        }
        for (const socket of sockets) socket.close();
      }
      console.log(JSON.stringify(differences));`;
    const command = [process.execPath, '--input-type=module', '--eval', script];
    expect(JSON.parse(await runIn(host, command))).toEqual([]);
  });
});

describeWith([userNamespaces, tool('ip')], 'a host without IPv6', () => {
  const suite = perSuite();
  let host: Namespace;
  let driver: RunningDriver;

  beforeAll(async () => {
    host = await makeHost(suite);
    const file = '/proc/sys/net/ipv6/conf/all/disable_ipv6';
    await runIn(host, ['sh', '-c', `echo 1 >${file}`]);
    driver = await startDriver(suite, host, { endpoints: [['127.0.0.1', 80]] });
  });

  afterEach(() => driver.removeAll());

  it.each(['', '0.0.0.0', '127.0.0.1'])('publishes tcp on "%s" over IPv4', async (parentIP) => {
    await driver.add({ proto: 'tcp', parentIP, parentPort: PORT, childPort: 80 });
    expect(await answersTo(host, [['127.0.0.1', PORT]])).toEqual(['127.0.0.1 80']);
  });

  it('refuses an IPv6 address and says what switched it off', async () => {
    const spec = { proto: 'tcp', parentIP: '::1', parentPort: PORT, childPort: 80 } as const;
    const { status, body } = await driver.post(spec);
    expect(status).toBe(400);
    expect(JSON.parse(body)).toEqual({
      message:
        'cannot listen on [::1]:8080/tcp: IPv6 is switched off (net.ipv6.conf.all.disable_ipv6=1); ' +
        'publish on an IPv4 address or switch it on with ' +
        '`sudo sysctl -w net.ipv6.conf.all.disable_ipv6=0`',
    });
  });
});
