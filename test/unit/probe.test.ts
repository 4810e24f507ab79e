import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, type Socket, createServer } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import * as libc from '../../src/msg/libc.js';
import * as linux from '../../src/msg/linux.js';
import { probe } from '../../src/parent/probe/probe.js';
import type { ProbeOptions, ProbeResult } from '../../src/parent/probe/result.js';
import { parseTarget } from '../../src/parent/probe/target.js';
import { temporaryFolder } from '../harness/cleanup.js';
import { sluice } from '../harness/sluice.js';
import { perTest } from '../harness/suite.js';
import { type Output, outputOf } from './support/cli.js';
import { freePort } from '../harness/ports.js';

const cleanup = perTest();
const LOOPBACKS = ['127.0.0.1', '::1'] as const;
/** For what must happen. */
const PATIENT: ProbeOptions = { timeoutMs: 10_000 };
/** For what must not. */
const BRIEF: ProbeOptions = { timeoutMs: 100 };
/** For what must not after a connection, which must. */
const CONNECTED: ProbeOptions = { timeoutMs: 3_000 };
const PAYLOAD = Buffer.from('are you there?');

/** Returns the port of a TCP server that does `serve` with every connection. */
async function tcpServer(ip: string, serve: (socket: Socket) => unknown): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    cleanup.defer(() => socket.destroy());
    serve(socket);
  }).listen(0, ip);
  cleanup.defer(() => server.close());
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Returns the port of a UDP server that answers every datagram with what `answer` makes of it. */
async function udpServer(ip: string, answer: (payload: Buffer) => Buffer[]): Promise<number> {
  const server = createSocket(ip.includes(':') ? 'udp6' : 'udp4');
  server.on('message', (payload, { port, address }) => {
    for (const datagram of answer(payload)) server.send(datagram, port, address);
  });
  server.bind(0, ip);
  cleanup.defer(() => server.close());
  await once(server, 'listening');
  return server.address().port;
}

/** All but the time, which has to be one. */
function findingOf({ ms, ...rest }: ProbeResult): Omit<ProbeResult, 'ms'> {
  expect(ms).toBeGreaterThanOrEqual(0);
  return rest;
}

describe.each(LOOPBACKS)('a TCP server at %s', (ip) => {
  const probeAt = async (port: number, options: ProbeOptions) =>
    findingOf(await probe({ ip, port, transport: 'tcp' }, options));

  test('is connected to when it waits for its clients', async () => {
    const port = await tcpServer(ip, () => undefined);
    expect(await probeAt(port, CONNECTED)).toEqual({
      ip,
      port,
      transport: 'tcp',
      verdict: 'connected',
    });
  });

  test('answers with its greeting, or to the payload', async () => {
    const greeting = await tcpServer(ip, (socket) => socket.write('hello\n'));
    const echo = await tcpServer(ip, (socket) => socket.pipe(socket));
    const of = (port: number, bytes: number) => ({
      ip,
      port,
      transport: 'tcp',
      verdict: 'answered',
      bytes,
      from: { ip, port },
    });
    expect(await probeAt(greeting, PATIENT)).toMatchObject(of(greeting, 6));
    expect(await probeAt(echo, { ...PATIENT, payload: PAYLOAD })).toMatchObject(of(echo, 14));
  });

  test('does not answer to a payload that it only reads', async () => {
    const port = await tcpServer(ip, (socket) => socket.resume());
    expect(await probeAt(port, { ...CONNECTED, payload: PAYLOAD })).toMatchObject({
      verdict: 'unanswered',
    });
  });

  test('may close at once, or reset', async () => {
    const closing = await tcpServer(ip, (socket) => socket.end());
    const resetting = await tcpServer(ip, (socket) => socket.resetAndDestroy());
    expect(await probeAt(closing, PATIENT)).toMatchObject({ verdict: 'closed' });
    expect(await probeAt(resetting, PATIENT)).toMatchObject({ verdict: 'reset' });
  });

  test('refuses where there is none', async () => {
    const port = await freePort();
    expect(await probeAt(port, PATIENT)).toMatchObject({ verdict: 'refused' });
  });
});

describe.each(LOOPBACKS)('a UDP server at %s', (ip) => {
  const probeAt = async (port: number, options: ProbeOptions) =>
    findingOf(await probe({ ip, port, transport: 'udp' }, options));

  test('answers to the payload, an empty one and the largest one too', async () => {
    const port = await udpServer(ip, (payload) => [payload]);
    const largest = ip === '::1' ? 65527 : 65507;
    for (const bytes of [0, PAYLOAD.length, largest]) {
      expect(await probeAt(port, { ...PATIENT, payload: Buffer.alloc(bytes) })).toEqual({
        ip,
        port,
        transport: 'udp',
        verdict: 'answered',
        bytes,
        from: { ip, port },
      });
    }
    const tooLarge = probeAt(port, { ...PATIENT, payload: Buffer.alloc(largest + 1) });
    await expect(tooLarge).rejects.toMatchObject({
      code: 'ERR_PAYLOAD',
      message: `a payload of ${largest + 1} bytes fits no datagram, which holds at most ${largest} bytes to ${ip}`,
    });
  });

  test('gets a question for the name servers of the root where no payload is given', async () => {
    let seen = '';
    const port = await udpServer(ip, (payload) => {
      seen = payload.toString('hex', 2);
      return [payload];
    });
    await probeAt(port, PATIENT);
    // RFC 1035: a flag for recursion, one question; the empty name, type NS, class IN.
    expect(seen).toBe('010000010000000000000000020001');
  });

  test('may be silent', async () => {
    const port = await udpServer(ip, () => []);
    expect(await probeAt(port, BRIEF)).toMatchObject({ verdict: 'silent' });
  });

  test('refuses where there is none', async () => {
    const port = await freePort();
    expect(await probeAt(port, PATIENT)).toMatchObject({ verdict: 'refused' });
  });
});

const type = linux.SOCK_STREAM | linux.SOCK_CLOEXEC;
const sctpSocket = libc.socket(linux.AF_INET, type, linux.IPPROTO_SCTP);
if (sctpSocket >= 0) libc.close(sctpSocket);

test.skipIf(sctpSocket >= 0)('SCTP on a kernel without it is an error that says so', async () => {
  const probing = probe({ ip: '127.0.0.1', port: 1, transport: 'sctp' }, PATIENT);
  await expect(probing).rejects.toMatchObject({
    code: 'ERR_SCTP',
    message:
      "this kernel makes no SCTP socket (EPROTONOSUPPORT): load its module as root with 'modprobe sctp', where it has one",
  });
});

describe('a target', () => {
  test.each([
    ['example.org:53/udp', { host: 'example.org', port: 53, transport: 'udp' }],
    ['127.0.0.1:80', { host: '127.0.0.1', port: 80, transport: 'tcp' }],
    ['8080', { host: undefined, port: 8080, transport: 'tcp' }],
    ['53/udp', { host: undefined, port: 53, transport: 'udp' }],
    ['[fe80::1%eth0]:1/sctp', { host: 'fe80::1%eth0', port: 1, transport: 'sctp' }],
  ])('%s is understood', (text, target) => {
    expect(parseTarget(text)).toEqual(target);
  });

  test.each([
    '',
    'x',
    'x:0',
    '0',
    'x:65536',
    '65536',
    '1.5',
    'x:53/icmp',
    '::1:53',
    '[::1]',
    '[x]:53',
    'a/b:1',
    ':53',
  ])('"%s" is refused', (text) => {
    expect(() => parseTarget(text)).toThrow(
      `bad target ${JSON.stringify(text)}, expected [HOST:]PORT[/tcp|/udp|/sctp], IPv6 addresses in brackets, for example 127.0.0.1:53/udp`,
    );
  });
});

function command(...args: readonly string[]): Promise<Output> {
  return outputOf(sluice('probe', ...args));
}

describe('sluice probe', () => {
  test('says in one line what it found, and exits with 0 for an answer', async () => {
    const port = await udpServer('127.0.0.1', (payload) => [payload, payload]);
    const { code, stdout, stderr } = await command(`127.0.0.1:${port}/udp`, '--text', 'hi');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(
      new RegExp(
        `^127.0.0.1:${port}/udp: answered, 2 bytes from 127.0.0.1:${port} after [0-9.]+ ms\n$`,
      ),
    );
  });

  test('exits with 1 for none', async () => {
    const port = await udpServer('127.0.0.1', () => []);
    expect(await command(`127.0.0.1:${port}/udp`, '--timeout', '0.05')).toEqual({
      code: 1,
      stdout: `127.0.0.1:${port}/udp: no answer to a DNS query within 50 ms, which proves nothing: a server may have none for that, or a firewall drops it; send what it knows with --text, --hex or --file\n`,
      stderr: '',
    });
  });

  test('prints JSON with what was sent from a file, or as hexadecimal digits', async () => {
    const file = join(temporaryFolder(cleanup), 'payload');
    writeFileSync(file, PAYLOAD);
    const port = await tcpServer('::1', (socket) => socket.pipe(socket));
    const json = async (...args: readonly string[]) => {
      const { code, stdout } = await command(`[::1]:${port}`, '--json', ...args);
      return { code, ...findingOf(JSON.parse(stdout) as ProbeResult) };
    };
    const answer = (bytes: number) => ({
      code: 0,
      ip: '::1',
      port,
      transport: 'tcp',
      verdict: 'answered',
      bytes,
      from: { ip: '::1', port },
    });
    expect(await json('--file', file)).toEqual(answer(PAYLOAD.length));
    expect(await json('--hex', '01 ff:02')).toEqual(answer(3));
  });

  test('tries every address of a name', async () => {
    const port = await tcpServer('127.0.0.1', (socket) => socket.end('x'));
    const { code, stdout } = await command(`localhost:${port}`, '--json');
    const results = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as ProbeResult);
    expect(code).toBe(0);
    expect(results).toContainEqual(
      expect.objectContaining({ ip: '127.0.0.1', verdict: 'answered' }),
    );
  });

  test.each([
    [['x'], /^sluice: bad target "x", expected /],
    [['name.invalid:1'], /^sluice: "name.invalid" has no address: .*; is the name right\?\n$/],
    [['127.0.0.1:1', '--hex', '0'], /^sluice: bad --hex "0", expected pairs of hexadecimal digits/],
    [['127.0.0.1:1', '--file', '/nowhere'], /^sluice: cannot read the payload: ENOENT/],
    [['127.0.0.1:1', '--timeout', '0'], /^sluice: bad --timeout "0", expected seconds from 0.001/],
    [
      ['127.0.0.1:1', '--text', 'x', '--hex', '00'],
      /^sluice: option '--text <text>' cannot be used/,
    ],
  ])('%j is refused', async (args, message) => {
    const { code, stdout, stderr } = await command(...args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(message);
  });
});
