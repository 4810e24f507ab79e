/** What is seen of SCTP ports: by probes from both sides, in metrics, and as events. */
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import type { View } from '../../src/parent/probe/view.js';
import { temporaryFolder } from '../harness/cleanup.js';
import { ask } from '../harness/http.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { type Program, start } from '../harness/processes.js';
import { unboundSctp } from '../harness/sctp-socket.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { payload } from '../harness/tcp-payload.js';
import { until } from '../harness/wait.js';

/** Several starts of Node on an emulated processor. */
const DEADLINE_MS = 120_000;
/** Before the test's own time is over, where every deadline is eight times as long. */
const LISTED_MS = 50_000;
const SO_SNDBUF = 7;
const LARGEST_BYTES = 1024 * 1024;
/** Ports of the host, that of the server inside, and one that nobody has there. */
const [ECHO, ELSEWHERE, NOBODY] = [5001, 5002, 5003];
const [SERVER, FREE] = [6001, 6002];
const SPECS = [
  `127.0.0.1:${ECHO}:127.0.0.1:${SERVER}/sctp`,
  `127.0.0.1:${ELSEWHERE}:127.0.0.2:${SERVER}/sctp`,
  `127.0.0.1:${NOBODY}:127.0.0.1:${FREE}/sctp`,
];

describeWith([userNamespaces, tool('socat')], 'of SCTP ports', () => {
  const suite = perSuite();
  const test = perTest();
  let socket: string;

  beforeAll(async () => {
    const stateDir = temporaryFolder(suite);
    socket = join(stateDir, 'api.sock');
    const publish = SPECS.flatMap((spec) => ['-p', spec]);
    const server = ['socat', '-d', '-d', `SCTP4-LISTEN:${SERVER},bind=127.0.0.1,fork`, 'PIPE'];
    const command = sluice('run', '--state-dir', stateDir, ...publish, '--', ...server);
    const driver = await start(suite, command);
    await driver.line(/listening on/, DEADLINE_MS);
  });

  async function probe(port: number, ...args: readonly string[]): Promise<View> {
    const target = `127.0.0.1:${port}/sctp`;
    const options = ['--json', '--socket', socket, '--timeout', '30', ...args];
    const program = await start(test, sluice('probe', ...options, target));
    await program.exited(DEADLINE_MS);
    if (program.stderr !== '') throw new Error(program.stderr);
    return JSON.parse(program.stdout) as View;
  }

  /** The value of a metric, by its name and labels as written. */
  async function metric(sample: string): Promise<number> {
    const { body } = await ask({ socketPath: socket, path: '/metrics' });
    const line = body.split('\n').find((text) => text.startsWith(`${sample} `));
    return Number(line?.slice(sample.length + 1));
  }

  it('a probe sees who listens where they lead to', async () => {
    // The kernel's list was read without the server once, which answered all the same.
    const listed = async () => {
      const view = await probe(ECHO, '--text', 'hello');
      return view.inside?.[0]?.owner?.bound.length === 1 ? view : undefined;
    };
    expect(await until(listed, LISTED_MS, 'the server in the list')).toMatchObject({
      verdict: 'answered',
      bytes: 5,
      inside: [
        {
          port: SERVER,
          verdict: 'answered',
          origin: 'port',
          owner: { kind: 'namespace', bound: ['127.0.0.1'] },
        },
      ],
    });
    const { inside, reason } = await probe(ELSEWHERE);
    expect(inside).toMatchObject([{ verdict: 'refused', owner: { bound: ['127.0.0.1'] } }]);
    expect(reason).toMatchObject({
      code: 'wrongAddress',
      text: `nothing listens on 127.0.0.2:${SERVER} in the child namespace; the server listens on 127.0.0.1:${SERVER} only`,
    });
    expect((await probe(NOBODY)).reason).toMatchObject({ code: 'notListening' });
  });

  it('metrics count associations, messages and bytes both ways', async () => {
    const port = `{port="1",spec="${SPECS[0]}"`;
    const names = [
      'sluice_flows_accepted_total{transport="sctp"}',
      `sluice_port_flows_accepted_total${port}}`,
      `sluice_port_packets_total${port},direction="in"}`,
      `sluice_port_packets_total${port},direction="out"}`,
      `sluice_port_bytes_total${port},direction="in"}`,
      `sluice_port_bytes_total${port},direction="out"}`,
      `sluice_port_connect_duration_seconds_count${port}}`,
    ];
    const counts = () => Promise.all(names.map(metric));
    const before = await counts();
    const client = unboundSctp(test).connect('127.0.0.1', ECHO);
    for (const text of ['one', 'three']) {
      await client.deliver(text);
      expect(String((await client.message()).data)).toBe(text);
    }
    const grown = (await counts()).map((count, index) => count - (before[index] ?? 0));
    expect(grown).toEqual([1, 1, 2, 2, 8, 8, 1]);
  });

  it('an event and a metric tell of what was aborted, and why', async () => {
    const drops = 'sluice_drops_total{transport="sctp",reason="oversized"}';
    const before = await metric(drops);
    const viewer: Program = await start(test, sluice('events', '--json', '--socket', socket));
    await viewer.line(/watching/, DEADLINE_MS);
    const client = unboundSctp(test);
    client.setOption(1, SO_SNDBUF, LARGEST_BYTES);
    client.connect('127.0.0.1', ECHO);
    await client.deliver(payload(0, LARGEST_BYTES + 1));
    expect((await client.outcome()).end).toBe('ECONNRESET');
    await viewer.line(/flowAborted/, DEADLINE_MS);
    const event = viewer.stdout.split('\n').find((line) => line.includes('flowAborted')) ?? '';
    expect(JSON.parse(event)).toMatchObject({
      type: 'flowAborted',
      port: 1,
      spec: { proto: 'sctp', parentPort: ECHO, childPort: SERVER },
      flows: 1,
      reason: 'oversized',
    });
    await until(async () => (await metric(drops)) === before + 1, DEADLINE_MS, 'the counter');
  });
});
