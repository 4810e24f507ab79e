import { describe, expect, test } from 'vitest';
import { SluiceError } from '../../src/msg/errors.js';
import { createApiClient } from '../../src/parent/api/client.js';
import { ownInfo, withPortDriver } from '../../src/parent/api/own-info.js';
import { VERSION } from '../../src/parent/api/version.js';
import { type Answer, ask } from '../harness/http.js';
import { run } from '../harness/processes.js';
import { perTest } from '../harness/suite.js';
import { startApi } from './support/api.js';

const TCP = { proto: 'tcp', parentIP: '127.0.0.1', parentPort: 8080, childPort: 80 };
const cleanup = perTest();

/** Of the one port there is. */
async function flows(id: number, most: number) {
  if (id !== 3) throw new SluiceError('ERR_PORT_ID', `no port ${id}`);
  return { total: most, flows: [] };
}

function post(socketPath: string, body: string): Promise<Answer> {
  return ask({ socketPath, method: 'POST', path: '/v1/ports' }, body);
}

async function asked(path: string): Promise<Answer> {
  const { socketPath } = await startApi(cleanup, { flows });
  return ask({ socketPath, path: `/v1/ports/${path}` });
}

describe('the REST API', () => {
  test('info has both drivers, with the keys in RootlessKit’s order', async () => {
    const { socketPath, stateDir } = await startApi(cleanup);
    expect(await ask({ socketPath, path: '/v1/info' })).toEqual({
      status: 200,
      body:
        `{"apiVersion":"1.1.1","version":"${VERSION}","stateDir":"${stateDir}","childPID":4711,` +
        '"networkDriver":{"driver":"none"},' +
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

  test('a spec comes back in RootlessKit’s key order, absent keys absent', async () => {
    const { socketPath } = await startApi(cleanup);
    const sent = '{"later":1,"childIP":"","childPort":80,"parentPort":8080,"proto":"tcp"}';
    expect((await post(socketPath, sent)).body).toBe(
      '{"id":1,"spec":{"proto":"tcp","parentPort":8080,"childPort":80,"childIP":""}}',
    );
  });

  test('answers and errors say that they are JSON', async () => {
    const { socketPath } = await startApi(cleanup);
    const url = (path: string) => ['curl', '-si', '--unix-socket', socketPath, `http://x${path}`];
    expect(await run(url('/v1/info'))).toMatch(/^HTTP\/1\.1 200 OK\r\n.*application\/json\r\n/s);
    expect(await run(url('/nope'))).toMatch(/^HTTP\/1\.1 404 Not .*application\/json\r\n/s);
  });

  test.each([
    ['{"proto":', /^\{"message":"malformed JSON: .*"\}$/],
    ['', /^\{"message":"malformed JSON: .*"\}$/],
    ['[]', /^\{"message":"invalid spec: \[\], expected an object"\}$/],
    [
      '{"proto":"foo","parentPort":1,"childPort":1}',
      /^\{"message":"invalid proto: .*foo.*, expected one of .*"\}$/,
    ],
  ])('an Add of %j is answered with 400', async (body, message) => {
    const { socketPath } = await startApi(cleanup);
    const answer = await post(socketPath, body);
    expect(answer.status).toBe(400);
    expect(answer.body).toMatch(message);
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
    ['POST', '/v1/ports/1/flows', 'GET'],
  ])('%s %s is answered with 405 and the methods that are allowed', async (method, path, allow) => {
    const { socketPath } = await startApi(cleanup);
    const url = `http://x${path}`;
    const answer = await run(['curl', '-si', '-X', method, '--unix-socket', socketPath, url]);
    expect(answer).toMatch(/^HTTP\/1\.1 405 Method Not Allowed\r\n/);
    expect(answer).toContain(`Allow: ${allow}\r\n`);
    expect(answer).toContain(
      `{"message":"method ${method} is not allowed on ${path}, use ${allow}"}`,
    );
  });

  describe('the flows of a port', () => {
    test.each([
      ['3/flows', 1000],
      ['3/flows?limit=1', 1],
      ['3/flows?later=x&limit=1000', 1000],
    ])('%s is answered with %d at most', async (path, most) => {
      const body = JSON.stringify({ total: most, flows: [] });
      expect(await asked(path)).toEqual({ status: 200, body });
    });

    test.each([
      ['4/flows', 404, 'no port 4'],
      ['0/flows', 404, 'no port 0'],
      ['-3/flows', 400, 'bad id -3, expected an integer'],
      ['x/flows', 400, 'bad id x, expected an integer'],
      ['3/flows?limit=0', 400, 'bad limit 0, expected an integer from 1 to 1000'],
      ['3/flows?limit=1001', 400, 'bad limit 1001, expected an integer from 1 to 1000'],
      ['3/flows?limit=', 400, 'bad limit , expected an integer from 1 to 1000'],
      ['3/flows?limit=1e1', 400, 'bad limit 1e1, expected an integer from 1 to 1000'],
    ])('%s is answered with %d', async (path, status, message) => {
      expect(await asked(path)).toEqual({ status, body: JSON.stringify({ message }) });
    });

    test('are nowhere without a driver that tells of them', async () => {
      const { socketPath } = await startApi(cleanup);
      const body = '{"message":"there are no flows to be seen here"}';
      const path = '/v1/ports/3/flows';
      expect(await ask({ socketPath, path })).toEqual({ status: 404, body });
    });

    test('are the client’s, too, and its errors say why there are none', async () => {
      const { socketPath } = await startApi(cleanup, { flows });
      const client = createApiClient(socketPath);
      expect(await client.flows(3)).toEqual({ total: 1000, flows: [] });
      await expect(client.flows(4)).rejects.toMatchObject({
        code: 'ERR_API',
        message: 'no port 4',
      });
    });
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
    const sourceIP = {
      policy: 'keep' as const,
      protos: { tcp4: { kept: true }, tcp6: { kept: false, reason: 'no IPv6' } },
      flows: { kept: 3, without: { loopback: 2 }, refused: 0 },
    };
    const agents = { running: [], restarts: 2, lastEnd: 'a reason' };
    const ours = { driver: 'sluice', disallowLoopbackChildIP: false, sourceIP, agents };
    expect(withPortDriver(base, { ...ours, protos: ['tcp', 'tcp4'] })).toStrictEqual({
      ...base,
      portDriver: { driver: 'sluice', protos: ['tcp', 'tcp4'], sourceIP, agents },
    });
    expect(
      withPortDriver(base, { ...ours, protos: ['tcp'], disallowLoopbackChildIP: true }).portDriver,
    ).toStrictEqual({
      driver: 'sluice',
      protos: ['tcp'],
      disallowLoopbackChildIP: true,
      sourceIP,
      agents,
    });
  });
});
