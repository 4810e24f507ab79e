/** lksctp's tools and iperf3: each with itself, one of the two in a namespace behind our port. */
import { beforeAll, describe, expect, it } from 'vitest';
import { tool, userNamespaces } from '../harness/needs.js';
import { type Program, run, start } from '../harness/processes.js';
import { type SctpForwarding, startSctpForwarding } from '../harness/sctp-forwarding.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';

const DEADLINE_MS = 15_000;
const needs = [userNamespaces, ...['sctp_test', 'sctp_darn', 'iperf3'].map(tool)];
const PORT = 5001;
const CLIENT_PORT = 5002;
const MIB = 1024 * 1024;
/** Of sctp_test's case 4. */
const SIZES = [1, 1000, 2000, 3000, 5000, 10_000, 15_000, 20_000, 25_000, 32_768];

// Without a terminal sctp_darn would keep its lines to itself.
const darn = (ip: string, port: number) => `stdbuf -oL sctp_darn -H ${ip} -P ${port}`.split(' ');
const sctpTest = (ip: string, port: number) => `sctp_test -H ${ip} -P ${port}`.split(' ');

describeWith(needs, 'through a port', () => {
  const suite = perSuite();
  const test = perTest();
  let forwarding: SctpForwarding;

  beforeAll(async () => {
    forwarding = await startSctpForwarding(suite);
  });

  /** A server inside, and the port that leads to it. */
  async function serve(
    ip: string,
    command: readonly string[],
    listening: RegExp,
  ): Promise<{ readonly server: Program; readonly port: number }> {
    const server = await forwarding.start(test, command);
    await server.line(listening, DEADLINE_MS);
    return { server, port: await forwarding.publish(PORT, { parentIP: ip, childIP: ip }) };
  }

  describe.each(['127.0.0.1', '::1'])('over %s', (ip) => {
    it('sctp_test sends messages of many sizes to sctp_test', async () => {
      const { server, port } = await serve(ip, [...sctpTest(ip, PORT), '-l'], /listen\(/);
      // Every second one is unordered, the streams change.
      const messages = ['-s', '-x', '1', '-c', '4', '-o', '2', '-M', '5'];
      await run([...sctpTest(ip, CLIENT_PORT), '-h', ip, '-p', `${port}`, ...messages]);
      await server.line(/SHUTDOWN_COMPLETE/, DEADLINE_MS);
      const sizes = [...server.stdout.matchAll(/Data (\d+) bytes/g)].map(([, size]) => size);
      expect(sizes.map(Number)).toEqual(SIZES);
    });

    it('sctp_darn sends lines to sctp_darn', async () => {
      const { server, port } = await serve(ip, [...darn(ip, PORT), '-l'], /listening/);
      const command = [...darn(ip, CLIENT_PORT), '-h', ip, '-p', `${port}`, '-s'];
      await start(test, command, { input: 'a line\nanother\n' });
      await server.line(/SHUTDOWN_COMP/, DEADLINE_MS);
      // It shows the end of a line as a point.
      const lines = [...server.stdout.matchAll(/^DATA\(\d+\): +(.*)$/gm)].map(([, line]) => line);
      expect(lines).toEqual(['a line.', 'another.']);
    });

    it('iperf3 sends SCTP to iperf3', async () => {
      const command = `iperf3 -s -1 -B ${ip} -p ${PORT} --forceflush`.split(' ');
      const { port } = await serve(ip, command, /listening/);
      // Its connection for commands is one of TCP, to the same port.
      const options = { proto: 'tcp', parentIP: ip, parentPort: port, childIP: ip } as const;
      await forwarding.publish(PORT, options);
      const client = `iperf3 --sctp --json -c ${ip} -p ${port} -n ${MIB}`.split(' ');
      const { end } = JSON.parse(await run(client)) as Report;
      expect(end.sum_sent.bytes).toBeGreaterThanOrEqual(MIB);
      // The server stops counting when it hears of the end, which is not behind the data.
      expect(end.sum_received.bytes).toBeGreaterThan(0);
    });
  });
});

/** Of `iperf3 --json`. */
interface Report {
  readonly end: Readonly<Record<'sum_sent' | 'sum_received', { readonly bytes: number }>>;
}
