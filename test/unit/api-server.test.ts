import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { SluiceError } from '../../src/msg/errors.js';
import { ownInfo, withPortDriver } from '../../src/parent/api/info.js';
import { VERSION } from '../../src/parent/api/version.js';
import type { Cleanup } from '../harness/cleanup.js';
import { type Answer, ask } from '../harness/http.js';
import { run } from '../harness/processes.js';
import { perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { startApi } from './support/api.js';

const TCP = { proto: 'tcp', parentIP: '127.0.0.1', parentPort: 8080, childPort: 80 };
const cleanup = perTest();

function post(socketPath: string, body: string): Promise<Answer> {
  return ask({ socketPath, method: 'POST', path: '/v1/ports' }, body);
}

function open(socketPath: string, deferred: Cleanup): Socket {
  const socket = connect(socketPath);
  // The server may reset it: that is what some tests wait for.
  socket.on('error', () => {});
  deferred.defer(() => socket.destroy());
  return socket;
}

describe('the REST API', () => {
  test('info has both drivers, with the keys in RootlessKit’s order', async () => {
    const { socketPath, stateDir } = await startApi(cleanup);
    expect(await ask({ socketPath, path: '/v1/info' })).toEqual({
      status: 200,
      body:
        `{"apiVersion":"1.1.1","version":"${VERSION}","stateDir":"${stateDir}","childPID":4711,` +
        '"networkDriver":{"driver":"none","dns":[]},' +
        '"portDriver":{"driver":"sluice","protos":["tcp"]}}',
    });
  });

  test('a port is added, listed and removed', async () => {
    const { socketPath } = await startApi(cleanup);
    const status = `{"id":1,"spec":${JSON.stringify(TCP)}}`;
    expect(await post(socketPath, JSON.stringify(TCP))).toEqual({ status: 201, body: status });
    const list = { socketPath, path: '/v1/ports' };
    expect(await ask(list)).toEqual({ status: 200, body: `[${status}]` });
    const remove = { socketPath, method: 'DELETE', path: '/v1/ports/1' };
    expect(await ask(remove)).toEqual({ status: 200, body: '' });
    expect(await ask(list)).toEqual({ status: 200, body: '[]' });
  });

  test('answers and errors say that they are JSON', async () => {
    const { socketPath } = await startApi(cleanup);
    const url = (path: string) => ['curl', '-si', '--unix-socket', socketPath, `http://x${path}`];
    expect(await run(url('/v1/info'))).toMatch(/^HTTP\/1\.1 200 OK\r\n.*application\/json\r\n/s);
    expect(await run(url('/nope'))).toMatch(/^HTTP\/1\.1 404 Not .*application\/json\r\n/s);
  });

  test.each([
    ['{"proto":', /^malformed JSON: /],
    ['', /^malformed JSON: /],
    ['[]', /^invalid spec: \[\], expected an object$/],
    ['{"proto":"foo","parentPort":1,"childPort":1}', /^invalid proto: "foo", expected one of /],
  ])('an Add of %j is answered with 400', async (body, message) => {
    const { socketPath } = await startApi(cleanup);
    const answer = await post(socketPath, body);
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.body)).toEqual({ message: expect.stringMatching(message) });
  });

  test('what the manager refuses is answered with 400 and its words', async () => {
    const { socketPath } = await startApi(cleanup);
    await post(socketPath, JSON.stringify(TCP));
    expect(await post(socketPath, JSON.stringify(TCP))).toEqual({
      status: 400,
      body: '{"message":"conflict with ID 1"}',
    });
    expect(await ask({ socketPath, method: 'DELETE', path: '/v1/ports/99' })).toEqual({
      status: 400,
      body: '{"message":"unknown id: 99"}',
    });
  });

  test.each(['abc', '1.5', '0x1', '%31', '9'.repeat(40)])(
    'an id of %s is answered with 400',
    async (id) => {
      const { socketPath } = await startApi(cleanup);
      expect(await ask({ socketPath, method: 'DELETE', path: `/v1/ports/${id}` })).toEqual({
        status: 400,
        body: JSON.stringify({ message: `bad id ${id}, expected an integer` }),
      });
    },
  );

  test.each(['/', '/v1', '/v1/info/', '/v1/ports/', '/v1/ports/1/2', '//v1/info', '/v2/ports'])(
    '%s is an unknown path',
    async (path) => {
      const { socketPath } = await startApi(cleanup);
      expect(await ask({ socketPath, path })).toEqual({
        status: 404,
        body: JSON.stringify({
          message: `unknown path ${path}, the API serves /v1/info and /v1/ports`,
        }),
      });
    },
  );

  test.each([
    ['POST', '/v1/info', 'GET'],
    ['PUT', '/v1/ports', 'GET, POST'],
    ['DELETE', '/v1/ports', 'GET, POST'],
    ['GET', '/v1/ports/1', 'DELETE'],
  ])('%s %s is answered with 405 and the methods that are allowed', async (method, path, allow) => {
    const { socketPath } = await startApi(cleanup);
    const answer = await run([
      ...['curl', '-si', '-X', method, '--unix-socket', socketPath],
      `http://x${path}`,
    ]);
    expect(answer).toMatch(/^HTTP\/1\.1 405 Method Not Allowed\r\n/);
    expect(answer).toContain(`Allow: ${allow}\r\n`);
    expect(answer).toContain(
      `{"message":"method ${method} is not allowed on ${path}, use ${allow}"}`,
    );
  });

  test('a query changes nothing', async () => {
    const { socketPath } = await startApi(cleanup);
    expect((await ask({ socketPath, path: '/v1/ports?all=1' })).status).toBe(200);
  });

  test('an info that cannot be had, and a fault of the manager, are answered with 500', async () => {
    const { socketPath, manager } = await startApi(cleanup, {
      info: () => Promise.reject(new SluiceError('ERR_API_UNREACHABLE', 'rootlesskit is gone')),
    });
    const body = '{"message":"rootlesskit is gone"}';
    expect(await ask({ socketPath, path: '/v1/info' })).toEqual({ status: 500, body });
    manager.listPorts = () => Promise.reject(new Error('a fault'));
    const fault = '{"message":"a fault"}';
    expect(await ask({ socketPath, path: '/v1/ports' })).toEqual({ status: 500, body: fault });
  });

  test('another info has its keys passed on and its port driver replaced', () => {
    const base = {
      ...ownInfo('/run/x', 1),
      networkDriver: { driver: 'slirp4netns', dns: ['10.0.2.3'], childIP: '10.0.2.100' },
      portDriver: { driver: 'builtin', protos: ['tcp', 'udp'], disallowLoopbackChildIP: true },
      later: { kept: true },
    };
    const ours = { driver: 'sluice', protos: ['tcp', 'tcp4'], disallowLoopbackChildIP: false };
    expect(withPortDriver(base, { ...ours, protos: ['tcp', 'tcp4'] })).toStrictEqual({
      ...base,
      portDriver: { driver: 'sluice', protos: ['tcp', 'tcp4'] },
    });
    expect(
      withPortDriver(base, { ...ours, protos: ['tcp'], disallowLoopbackChildIP: true }).portDriver,
    ).toStrictEqual({ driver: 'sluice', protos: ['tcp'], disallowLoopbackChildIP: true });
  });
});

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
      const socket = open(socketPath, cleanup);
      const bytes = 4 * 1024 * 1024;
      const length = framing === 'Content-Length' ? String(bytes) : 'chunked';
      socket.write(`POST /v1/ports HTTP/1.1\r\nHost: x\r\n${framing}: ${length}\r\n\r\n`);
      if (framing !== 'Content-Length') socket.write(`${bytes.toString(16)}\r\n`);
      // Sent in full before a byte of the answer is looked at, as a simple client does.
      await new Promise((resolve) => socket.write(Buffer.alloc(bytes, ' '), resolve));
      const answer = await text(socket);
      expect(answer).toMatch(/^HTTP\/1\.1 413 Payload Too Large\r\nConnection: close\r\n/);
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
      const socket = open(socketPath, cleanup);
      socket.write(`POST /v1/ports HTTP/1.1\r\nHost: x\r\n${framing}\r\n\r\n1\r\n{`);
      await new Promise((resolve) => socket.end(resolve));
      socket.destroy();
    }
    expect((await ask({ socketPath, path: '/v1/ports' })).body).toBe('[]');
    expect(manager.ports.size).toBe(0);
  });

  test('a client that goes away before its answer leaves the port added', async () => {
    const { socketPath, manager } = await startApi(cleanup);
    const addPort = manager.addPort.bind(manager);
    const socket = open(socketPath, cleanup);
    manager.addPort = async (spec) => {
      socket.destroy();
      await new Promise((resolve) => socket.once('close', resolve));
      return addPort(spec);
    };
    const body = JSON.stringify(TCP);
    socket.write(
      `POST /v1/ports HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    await until(() => manager.ports.size === 1, 5_000, 'the port');
    expect((await ask({ socketPath, path: '/v1/ports' })).status).toBe(200);
  });

  test.each([
    '',
    'POST /v1/po',
    'POST /v1/ports HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{',
  ])('a client that stops after %j is answered with 408 and let go', async (start) => {
    const { socketPath } = await startApi(cleanup, { requestTimeoutMs: 200 });
    const socket = open(socketPath, cleanup);
    socket.write(start);
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
  });

  test('a client that does not speak HTTP is answered with 400', async () => {
    const { socketPath } = await startApi(cleanup);
    const socket = open(socketPath, cleanup);
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
    await until(() => Object.keys(agent.freeSockets).length === 1, 5_000, 'an idle connection');
    await api.close();
    await until(() => Object.keys(agent.freeSockets).length === 0, 5_000, 'its end');
  });

  test('waits for the answer that is on its way', async () => {
    const { socketPath, manager, api } = await startApi(cleanup);
    let finish = (): void => {};
    const asked = new Promise<void>((resolve) => {
      manager.listPorts = () =>
        new Promise((answer) => {
          finish = () => answer([]);
          resolve();
        });
    });
    const answer = ask({ socketPath, path: '/v1/ports' });
    await asked;
    const closed = api.close();
    finish();
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
