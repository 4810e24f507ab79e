import { EventEmitter, once } from 'node:events';
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { ask } from '../harness/http.js';
import { run } from '../harness/processes.js';
import { perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { startApi } from './support/api.js';

const TCP = { proto: 'tcp', parentIP: '127.0.0.1', parentPort: 8080, childPort: 80 };
const DEADLINE_MS = 15_000;
const cleanup = perTest();

function post(socketPath: string, body: string) {
  return ask({ socketPath, method: 'POST', path: '/v1/ports' }, body);
}

function open(socketPath: string): Socket {
  const socket = connect(socketPath);
  // The server may reset it.
  socket.on('error', () => {});
  cleanup.defer(() => socket.destroy());
  return socket;
}

/** To be called once what has arrived was read: who was answered finds a closed connection. */
function dripOn(sockets: readonly Socket[]): void {
  for (const socket of sockets.filter(({ bytesRead }) => bytesRead === 0)) socket.write('x');
}

/** All that comes before the end, which is a reset for who has sent something meanwhile. */
function heard(socket: Socket): Promise<string> {
  let all = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (all += chunk));
  return new Promise((resolve) => socket.once('close', () => resolve(all)));
}

describe('clients that are no good', () => {
  const TOO_LARGE = '{"message":"the request body is over 65536 bytes"}';

  test('a body at the limit is read', async () => {
    const { socketPath } = await startApi(cleanup);
    const body = JSON.stringify(TCP).padEnd(65_536);
    expect((await post(socketPath, body)).status).toBe(201);
  });

  test.each(['Content-Length', 'Transfer-Encoding'])(
    'a body over the limit, sent with %s, is answered with 413',
    async (framing) => {
      const { socketPath, manager } = await startApi(cleanup);
      const socket = open(socketPath);
      const bytes = 4 * 1024 * 1024;
      const length = framing === 'Content-Length' ? String(bytes) : 'chunked';
      socket.write(`POST /v1/ports HTTP/1.1\r\nHost: x\r\n${framing}: ${length}\r\n\r\n`);
      if (framing !== 'Content-Length') socket.write(`${bytes.toString(16)}\r\n`);
      // Sent in full before a byte of the answer is looked at, as a simple client does.
      await new Promise((resolve) => socket.write(Buffer.alloc(bytes, ' '), resolve));
      const answer = await text(socket);
      expect(answer).toMatch(/^HTTP\/1\.1 413 Payload Too Large\r\n/);
      expect(answer).toContain('\r\nConnection: close\r\n');
      expect(answer.endsWith(TOO_LARGE)).toBe(true);
      expect(manager.ports.size).toBe(0);
    },
  );

  test('curl sees the answer to a body that never ends', async () => {
    const { socketPath } = await startApi(cleanup);
    const answer = await run([
      'sh',
      '-c',
      'yes | curl -sS -X POST -T - --unix-socket "$0" http://x/v1/ports',
      socketPath,
    ]);
    expect(answer).toBe(TOO_LARGE);
  });

  test('a client that goes away in the middle of a body leaves the server as it was', async () => {
    const { socketPath, manager } = await startApi(cleanup);
    for (const framing of ['Content-Length: 1000', 'Transfer-Encoding: chunked']) {
      const socket = open(socketPath);
      socket.write(`POST /v1/ports HTTP/1.1\r\nHost: x\r\n${framing}\r\n\r\n1\r\n{`);
      await new Promise<void>((resolve) => socket.end(resolve));
      socket.destroy();
    }
    expect((await ask({ socketPath, path: '/v1/ports' })).body).toBe('[]');
    expect(manager.ports.size).toBe(0);
  });

  test('a client that goes away before its answer leaves the port added', async () => {
    const { socketPath, manager } = await startApi(cleanup);
    const addPort = manager.addPort.bind(manager);
    const socket = open(socketPath);
    manager.addPort = async (spec) => {
      socket.destroy();
      await new Promise((resolve) => socket.once('close', resolve));
      return addPort(spec);
    };
    const body = JSON.stringify(TCP);
    socket.write(
      `POST /v1/ports HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    await until(() => manager.ports.size === 1, DEADLINE_MS, 'the port');
    expect((await ask({ socketPath, path: '/v1/ports' })).status).toBe(200);
  });

  test.each([
    '',
    'POST /v1/po',
    'POST /v1/ports HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{',
  ])('a client that stops after %j is answered with 408 and let go', async (start) => {
    const { socketPath } = await startApi(cleanup, { requestTimeoutMs: 200 });
    const socket = open(socketPath);
    socket.write(start);
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
  });

  test('200 clients that send a byte now and then hold up nobody, and are let go', async () => {
    const { socketPath, manager } = await startApi(cleanup, { requestTimeoutMs: 1000 });
    const head = 'POST /v1/ports HTTP/1.1\r\nHost: x\r\n';
    const sockets = Array.from({ length: 200 }, () => open(socketPath));
    // Half of them never end a header, the others never end a body.
    for (const [index, socket] of sockets.entries()) {
      socket.write(head + (index % 2 === 0 ? 'X-Slow: ' : 'Content-Length: 1000\r\n\r\n'));
    }
    const drip = setInterval(() => setImmediate(dripOn, sockets), 50);
    cleanup.defer(() => clearInterval(drip));
    const answers = sockets.map(async (socket) => (await heard(socket)).split('\r\n', 1)[0]);

    expect((await post(socketPath, JSON.stringify(TCP))).status).toBe(201);
    expect(new Set(await Promise.all(answers))).toEqual(new Set(['HTTP/1.1 408 Request Timeout']));
    expect(manager.ports.size).toBe(1);
  });

  test('a client that does not speak HTTP is answered with 400', async () => {
    const { socketPath } = await startApi(cleanup);
    const socket = open(socketPath);
    socket.write('\x16\x03\x01\x02\x00\r\n\r\n');
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
  });

  test('50 concurrent Adds and Removes are all answered', async () => {
    const { socketPath, manager } = await startApi(cleanup);
    const numbers = Array.from({ length: 50 }, (_, index) => index + 1);
    const added = await Promise.all(
      numbers.map((n) => post(socketPath, JSON.stringify({ ...TCP, parentPort: 8000 + n }))),
    );
    expect(added.map(({ status }) => status)).toEqual(numbers.map(() => 201));
    const removed = await Promise.all(
      numbers.map((n) => ask({ socketPath, method: 'DELETE', path: `/v1/ports/${n}` })),
    );
    expect(removed.map(({ status }) => status)).toEqual(numbers.map(() => 200));
    expect(manager.ports.size).toBe(0);
  });
});

describe('close', () => {
  test('ends an idle keep-alive connection', async () => {
    const { socketPath, api } = await startApi(cleanup);
    const agent = new Agent({ keepAlive: true });
    cleanup.defer(() => agent.destroy());
    await ask({ socketPath, path: '/v1/info', agent });
    const idle = () => Object.values(agent.freeSockets).flat().length;
    await until(() => idle() === 1, DEADLINE_MS, 'an idle connection');
    await api.close();
    expect(await until(() => idle() === 0, DEADLINE_MS, 'its end')).toBe(true);
  });

  test('waits for the answer that is on its way', async () => {
    const { socketPath, manager, api } = await startApi(cleanup);
    const events = new EventEmitter();
    manager.listPorts = async () => {
      events.emit('asked');
      await once(events, 'finish');
      return [];
    };
    const asked = once(events, 'asked');
    const answer = ask({ socketPath, path: '/v1/ports' });
    await asked;
    const closed = api.close();
    events.emit('finish');
    expect((await answer).body).toBe('[]');
    await closed;
  });

  test('does not wait for ever for a request that is never complete', async () => {
    const { socketPath, api } = await startApi(cleanup);
    const upload = request({ socketPath, method: 'POST', path: '/v1/ports' });
    const ended = new Promise((resolve) => upload.on('error', resolve));
    await new Promise((resolve) => upload.write('{', resolve));
    await api.close();
    expect(await ended).toMatchObject({ code: 'ECONNRESET' });
  });
});
