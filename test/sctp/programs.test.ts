/** lksctp's tools and iperf3 with SCTP, in namespaces of an unprivileged user. */
import { beforeAll, expect, it } from 'vitest';
import { type Namespace, enter, makeHost, runIn } from '../harness/namespaces.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { start } from '../harness/processes.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';

const DEADLINE_MS = 20_000;
const needs = [userNamespaces, tool('sctp_test'), tool('sctp_darn'), tool('iperf3')];

describeWith(needs, 'in a namespace', () => {
  const suite = perSuite();
  const test = perTest();
  let host: Namespace;

  beforeAll(async () => {
    host = await makeHost(suite);
  });

  it.each(['127.0.0.1', '::1'])('sctp_test sends to sctp_test, over %s', async (ip) => {
    const server = await start(test, enter(host, 'sctp_test', '-H', ip, '-P', '5001', '-l'));
    await server.line(/listen\(/, DEADLINE_MS);
    const to = ['-h', ip, '-p', '5001', '-s', '-x', '1', '-c', '1'];
    await runIn(host, ['sctp_test', '-H', ip, '-P', '5002', ...to]);
    const received = await server.line(/Data (\d+) bytes[^]*SHUTDOWN_COMPLETE/, DEADLINE_MS);
    expect(received[1]).toBe('1452');
  });

  it.each(['127.0.0.1', '::1'])('sctp_darn sends a line to sctp_darn, over %s', async (ip) => {
    // Without a terminal it would keep its lines to itself.
    const darn = ['stdbuf', '-oL', 'sctp_darn', '-H', ip];
    const server = await start(test, enter(host, ...darn, '-P', '5003', '-l'));
    await server.line(/listening/, DEADLINE_MS);
    const to = ['-P', '5004', '-h', ip, '-p', '5003', '-s'];
    await start(test, enter(host, ...darn, ...to), { input: 'a line\n' });
    const [line] = await server.line(/a line/, DEADLINE_MS);
    expect(line).toBe('a line');
  });

  it.each(['127.0.0.1', '::1'])('iperf3 sends SCTP to iperf3, over %s', async (ip) => {
    const options = ['-s', '-1', '-B', ip, '-p', '5005', '--forceflush'];
    const server = await start(test, enter(host, 'iperf3', ...options));
    await server.line(/listening/, DEADLINE_MS);
    const client = ['iperf3', '--sctp', '--json', '-c', ip, '-p', '5005', '-n', '1M'];
    const { end } = JSON.parse(await runIn(host, client)) as {
      end: { sum_received: { bytes: number } };
    };
    expect(end.sum_received.bytes).toBeGreaterThan(0);
  });
});
