/** Servers in a namespace and their own clients across a link, through ports of UDP and TCP. */
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../harness/cleanup.js';
import {
  HOST_ADDRESS,
  type Namespace,
  makeClient,
  makeHost,
  runIn,
} from '../harness/namespaces.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { run } from '../harness/processes.js';
import { publish } from '../harness/published.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import {
  addPeer,
  configureDevice,
  iperf,
  makeDevice,
  serveIn,
  sha256,
} from './udp-programs-support.js';

const DNS = 5300;
const QUIC = 4433;
const IPERF = 5201;
const WIREGUARD = 51820;
const SPECS = [
  `${DNS}:53/udp`,
  `${DNS}:53/tcp`,
  `${QUIC}:${QUIC}/udp`,
  `${IPERF}:${IPERF}/udp`,
  `${IPERF}:${IPERF}/tcp`,
  `${WIREGUARD}:${WIREGUARD}/udp`,
];
const TOOLS = ['unbound', 'dig', 'dnsperf', 'gtlsserver', 'gtlsclient', 'openssl', 'iperf3', 'wg'];
const NEEDS = [userNamespaces, ...[...TOOLS, 'wireguard-go'].map(tool)];
const FAMILIES = ['v4', 'v6'] as const;
/** One try, so that a loss is seen. */
const PATIENCE = ['+tries=1', '+time=10', '+short'];

describeWith(NEEDS, 'through published ports', () => {
  const suite = perSuite();
  const cleanup = perTest();
  let client: Namespace;
  let inside: Namespace;

  beforeAll(async () => {
    const host = await makeHost(suite);
    client = await makeClient(suite, host);
    inside = await publish(suite, host, SPECS);
  });

  const dig = (host: string, ...options: readonly string[]) =>
    runIn(client, ['dig', `@${host}`, '-p', `${DNS}`, ...PATIENCE, ...options]);

  describe('unbound', () => {
    const answer = '198.51.100.53';
    /** Larger than a frame, and than a datagram that a client without EDNS takes. */
    const records = Array.from({ length: 9 }, (_, index) => `"${`${index}`.repeat(250)}"`);

    beforeEach(async () => {
      const file = join(temporaryFolder(cleanup), 'unbound.conf');
      const data = records.map((text) => `local-data: 'long.sluice.test. TXT ${text}'`);
      const config = `server:
        chroot: ""
        username: ""
        pidfile: ""
        use-syslog: no
        interface: 0.0.0.0
        interface: ::
        access-control: 0.0.0.0/0 allow
        access-control: ::/0 allow
        max-udp-size: 4096
        edns-buffer-size: 4096
        incoming-num-tcp: 200
        local-zone: sluice.test. redirect
        local-data: "sluice.test. A ${answer}"
        local-zone: long.sluice.test. static
        ${data.join('\n')}
        remote-control:
        control-enable: no`;
      writeFileSync(file, config);
      await serveIn(cleanup, inside, ['unbound', '-dp', '-c', file], ['--udp', 'sport = 53']);
    });

    it.each(FAMILIES)('answers dig over IP%s, UDP and TCP', async (family) => {
      const host = HOST_ADDRESS[family];
      expect(await dig(host, 'a.sluice.test')).toBe(`${answer}\n`);
      expect(await dig(host, '+tcp', 'a.sluice.test')).toBe(`${answer}\n`);
      const large = await dig(host, '+bufsize=4096', '+ignore', 'long.sluice.test', 'TXT');
      const overTcp = await dig(host, '+noedns', 'long.sluice.test', 'TXT');
      for (const text of [large, overTcp]) {
        expect(text.trimEnd().split('\n').toSorted()).toEqual(records);
      }
    });

    it.each([
      ['100', 'udp'],
      ['20', 'tcp'],
    ])('answers every query of %s clients over %s', async (clients, mode) => {
      const queries = join(temporaryFolder(cleanup), 'queries');
      const lines = Array.from({ length: 1000 }, (_, index) => `n${index}.sluice.test A\n`);
      writeFileSync(queries, lines.join(''));
      const load = ['-c', clients, '-q', '100', '-l', '3', '-n', '10', '-t', '10'];
      const target = ['-s', HOST_ADDRESS.v4, '-p', `${DNS}`, '-m', mode, '-d', queries];
      const report = runIn(client, ['dnsperf', ...target, ...load]);
      expect(await dig(HOST_ADDRESS.v4, 'meanwhile.sluice.test')).toBe(`${answer}\n`);
      expect(await report).toMatch(/Queries completed: +[1-9]\d{2,} \(100\.00%\)/);
      expect(await report).toMatch(/Response codes: +NOERROR \d+ \(100\.00%\)/);
    });
  });

  describe('a QUIC server', () => {
    const download = randomBytes(8_000_000);
    const upload = randomBytes(500_000);

    it.each(FAMILIES)('sends and receives whole files over IP%s', async (family) => {
      const folder = temporaryFolder(cleanup);
      const file = (name: string) => join(folder, name);
      writeFileSync(file('download'), download);
      writeFileSync(file('upload'), upload);
      const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc'];
      const certificate = [
        '-subj',
        '/CN=sluice.test',
        '-keyout',
        file('key'),
        '-out',
        file('cert'),
      ];
      await run(['openssl', 'req', '-x509', ...key, ...certificate]);
      const options = ['--mime-types-file=/dev/null', '--no-quic-dump', `--htdocs=${folder}`];
      const at = ['*', `${QUIC}`, file('key'), file('cert')];
      const server = await serveIn(
        cleanup,
        inside,
        ['gtlsserver', ...options, ...at],
        ['--udp', `sport = ${QUIC}`],
      );

      const ask = (path: string, ...more: readonly string[]) => {
        const plain = ['--quiet', '--exit-on-all-streams-close', ...more];
        const url = `https://sluice.test/${path}`;
        return runIn(client, ['gtlsclient', ...plain, HOST_ADDRESS[family], `${QUIC}`, url]);
      };
      const saved = temporaryFolder(cleanup);
      await ask('download', `--download=${saved}`);
      expect(sha256(readFileSync(join(saved, 'download')))).toBe(sha256(download));
      await ask('cert', `--data=${file('upload')}`);
      expect(sha256(bodyIn(server.stdout + server.stderr))).toBe(sha256(upload));
    });
  });

  describe('iperf3', () => {
    beforeEach(async () => {
      const server = ['iperf3', '--server', '--port', `${IPERF}`];
      await serveIn(cleanup, inside, server, ['--tcp', `sport = ${IPERF}`]);
    });

    it.each([
      ['v4', 'in'],
      ['v4', 'out', '--reverse'],
      ['v6', 'in, eight at once', '--parallel=8'],
      ['v6', 'out, eight at once', '--parallel=8', '--reverse'],
    ] as const)('loses next to nothing over IP%s, %s', async (family, _, ...more) => {
      const load = ['--udp', '--bitrate', '5M', '--length', '1200', '--time', '2'];
      const target = ['--client', HOST_ADDRESS[family], '--port', `${IPERF}`];
      const received = await iperf(client, ...target, ...load, ...more);
      expect(received.bytes).toBeGreaterThan(1_000_000);
      expect(received.lost_percent).toBeLessThan(5);
    });
  });

  describe('WireGuard', () => {
    const inner = { inside: 'fd00:9::1', client: 'fd00:9::2' } as const;

    it.each(FAMILIES)('carries TCP both ways in a tunnel over IP%s', async (family) => {
      await runIn(client, ['mount', '-t', 'tmpfs', 'tmpfs', '/run']);
      for (const namespace of [inside, client]) await makeDevice(cleanup, namespace);
      const keys = {
        inside: await configureDevice(inside, inner.inside, WIREGUARD),
        client: await configureDevice(client, inner.client, WIREGUARD),
      };
      const host = family === 'v6' ? `[${HOST_ADDRESS.v6}]` : HOST_ADDRESS.v4;
      await addPeer(inside, keys.client, inner.client);
      await addPeer(client, keys.inside, inner.inside, 'endpoint', `${host}:${WIREGUARD}`);
      const server = ['iperf3', '--server', '--bind', inner.inside];
      await serveIn(cleanup, inside, server, ['--tcp', `src = [${inner.inside}]`]);
      for (const more of [[], ['--reverse']]) {
        const { bytes } = await iperf(client, '--client', inner.inside, '--time', '2', ...more);
        expect(bytes).toBeGreaterThan(5_000_000);
      }
    });
  });
});

/** The bodies of HTTP requests, as gtlsserver dumps them: 16 bytes in hexadecimal on a line. */
function bodyIn(output: string): Buffer {
  const lines = output.matchAll(/^[\da-f]{8} {2}((?:[\da-f]{2} {1,2})+)/gm);
  return Buffer.concat(
    [...lines].map(([, digits = '']) => Buffer.from(digits.replaceAll(' ', ''), 'hex')),
  );
}
