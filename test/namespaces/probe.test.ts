import { beforeAll, expect, it } from 'vitest';
import type { ProbeResult } from '../../src/parent/probe/result.js';
import {
  HOST_ADDRESS,
  type Namespace,
  enter,
  makeClient,
  makeHost,
  runIn,
} from '../harness/namespaces.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { start } from '../harness/processes.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perSuite } from '../harness/suite.js';

const READY_MS = 30_000;
const ECHO_PORT = 7;
const FREE_PORT = 9;
const DROPPED_PORT = 10;
const SECOND_ADDRESS = { v4: '198.51.100.7', v6: 'fd00:1::7' } as const;
const UNREACHABLE_ADDRESS = '198.51.100.77';
const FORBIDDEN_ADDRESS = '198.51.100.78';

/** Answers from whichever address the kernel chooses, as a careless server does. */
const ECHO = `
  const socket = require('node:dgram').createSocket('udp6');
  socket.on('message', (payload, { port, address }) => socket.send(payload, port, address));
  socket.bind(${ECHO_PORT}, '::', () => console.log('serving'));`;

describeWith([userNamespaces, tool('ip'), tool('iptables')], 'a probe across a link', () => {
  const suite = perSuite();
  let client: Namespace;

  beforeAll(async () => {
    const host = await makeHost(suite);
    client = await makeClient(suite, host);
    const server = await start(suite, enter(host, process.execPath, '--eval', ECHO));
    await server.line(/^serving$/m, READY_MS);
    const dropped = `--dport ${DROPPED_PORT} --jump DROP`;
    const setUp = [
      `ip addr add ${SECOND_ADDRESS.v4}/24 dev client0`,
      `ip addr add ${SECOND_ADDRESS.v6}/64 dev client0 nodad preferred_lft 0`,
      ...['tcp', 'udp'].map((proto) => `iptables --append INPUT --protocol ${proto} ${dropped}`),
    ];
    await runIn(host, ['sh', '-e', '-c', setUp.join('\n')]);
    await runIn(client, ['ip', 'route', 'add', 'unreachable', UNREACHABLE_ADDRESS]);
    await runIn(client, ['ip', 'route', 'add', 'prohibit', FORBIDDEN_ADDRESS]);
  });

  async function probe(ip: string, port: number, proto: string): Promise<ProbeResult> {
    const target = `${ip.includes(':') ? `[${ip}]` : ip}:${port}/${proto}`;
    // All others are told at once, by the server or the kernel.
    const timeout = port === DROPPED_PORT ? '1' : '20';
    const command = sluice('probe', target, '--json', '--timeout', timeout);
    // Its exit code says the same as its output.
    const json = await runIn(client, ['sh', '-c', '"$@" || true', 'sh', ...command]);
    return JSON.parse(json) as ProbeResult;
  }

  it.each(['v4', 'v6'] as const)(
    'tells a UDP answer from an astray one over %s',
    async (family) => {
      const answer = { bytes: 17, from: { ip: HOST_ADDRESS[family], port: ECHO_PORT } };
      expect(await probe(HOST_ADDRESS[family], ECHO_PORT, 'udp')).toMatchObject({
        ...answer,
        verdict: 'answered',
      });
      expect(await probe(SECOND_ADDRESS[family], ECHO_PORT, 'udp')).toMatchObject({
        ...answer,
        verdict: 'astray',
      });
    },
  );

  it.each(['tcp', 'udp'])('over %s tells the reasons for no answer', async (proto) => {
    const verdicts = async (ip: string, port: number) => {
      const { verdict, errno } = await probe(ip, port, proto);
      return { verdict, errno };
    };
    for (const ip of [HOST_ADDRESS.v4, HOST_ADDRESS.v6]) {
      expect(await verdicts(ip, FREE_PORT)).toEqual({ verdict: 'refused', errno: 'ECONNREFUSED' });
    }
    expect(await verdicts(HOST_ADDRESS.v4, DROPPED_PORT)).toEqual({ verdict: 'silent' });
    for (const [ip, errno] of [
      [UNREACHABLE_ADDRESS, 'EHOSTUNREACH'],
      [FORBIDDEN_ADDRESS, 'EACCES'],
      ['100.64.0.1', 'ENETUNREACH'],
      ['fd00:99::1', 'ENETUNREACH'],
    ] as const) {
      expect(await verdicts(ip, FREE_PORT)).toEqual({ verdict: 'unreachable', errno });
    }
  });
});
