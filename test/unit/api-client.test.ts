import { chmodSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createStreamServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createApiClient } from '../../src/parent/api/client.js';
import { temporaryFolder } from '../harness/cleanup.js';
import { start } from '../harness/processes.js';
import { perTest } from '../harness/suite.js';
import { startApi } from './support/api.js';

const TCP = { proto: 'tcp', parentIP: '', parentPort: 8080, childPort: 80 } as const;
const DEADLINE_MS = 30_000;
const cleanup = perTest();

/** Serves on a unix socket until the test ends, and returns its path. */
async function serve(server: Server): Promise<string> {
  const path = join(temporaryFolder(cleanup), 'api.sock');
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  cleanup.defer(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return path;
}

function serveHttp(listener: RequestListener): Promise<string> {
  return serve(createServer(listener));
}

describe('the API client', () => {
  test('adds, lists and removes', async () => {
    const client = createApiClient((await startApi(cleanup)).socketPath);
    expect(await client.listPorts()).toEqual([]);
    expect(await client.addPort(TCP)).toEqual({ id: 1, spec: TCP });
    expect(await client.listPorts()).toEqual([{ id: 1, spec: TCP }]);
    await client.removePort(1);
    expect(await client.listPorts()).toEqual([]);
    expect(await client.info()).toMatchObject({ portDriver: { driver: 'sluice' } });
  });

  test('takes rootlesskit’s null for an empty list, and an info without drivers', async () => {
    const info = { apiVersion: '1.1.1', version: '2.0.2', stateDir: '/run/x', childPID: 1 };
    const path = await serveHttp((request, response) => {
      response.end(request.url === '/v1/info' ? JSON.stringify(info) : 'null');
    });
    expect(await createApiClient(path).listPorts()).toEqual([]);
    expect(await createApiClient(path).info()).toEqual(info);
  });

  test('passes the message of an API’s error on', async () => {
    const client = createApiClient((await startApi(cleanup)).socketPath);
    const refused = { code: 'ERR_API', message: 'unknown id: 99' };
    await expect(client.removePort(99)).rejects.toMatchObject(refused);
  });

  test('says that there is no socket', async () => {
    const path = join(temporaryFolder(cleanup), 'api.sock');
    await expect(createApiClient(path).info()).rejects.toMatchObject({
      code: 'ERR_API_UNREACHABLE',
      message: `no API socket at ${path}; is rootlesskit running with that state directory?`,
    });
  });

  test('says that nobody listens', async () => {
    const path = join(temporaryFolder(cleanup), 'api.sock');
    const listen = `require('node:net').createServer().listen(process.argv[1], () => console.log('up'))`;
    const program = await start(cleanup, [process.execPath, '-e', listen, path]);
    await program.line(/^up$/m, DEADLINE_MS);
    program.signal('SIGKILL');
    await program.exited(DEADLINE_MS);
    await expect(createApiClient(path).info()).rejects.toMatchObject({
      code: 'ERR_API_UNREACHABLE',
      message: `nobody listens on ${path}; the process that made it is gone, or it is no socket`,
    });
  });

  test.skipIf(process.getuid?.() === 0)('says that it is not permitted', async () => {
    const { socketPath } = await startApi(cleanup);
    chmodSync(socketPath, 0);
    await expect(createApiClient(socketPath).info()).rejects.toMatchObject({
      code: 'ERR_API_UNREACHABLE',
      message: `not permitted to use ${socketPath}; run this as the user that rootlesskit runs as`,
    });
  });

  test.each([
    [200, 'hello'],
    [200, '[1]'],
    [200, ''],
    [404, '404 page not found'],
    [400, '{"error":"no"}'],
  ])('says that %i with %j is not what the API answers', async (status, body) => {
    const path = await serveHttp((_, response) => response.writeHead(status).end(body));
    await expect(createApiClient(path).listPorts()).rejects.toMatchObject({
      code: 'ERR_API_FOREIGN',
      message: `${path} answered GET /v1/ports with status ${status} and something that RootlessKit's API does not say; is it the api.sock of a rootlesskit?`,
    });
  });

  test('says that a server does not speak HTTP', async () => {
    const path = await serve(
      createStreamServer((socket) => socket.once('data', () => socket.end('220 hello\r\n'))),
    );
    await expect(createApiClient(path).info()).rejects.toThrow(
      /^cannot use the API at .*: Parse Error/,
    );
  });

  test('does not wait for ever, neither for an answer nor in the middle of one', async () => {
    const silent = await serveHttp(() => {});
    const halting = await serveHttp((_, response) => response.write('['));
    for (const path of [silent, halting]) {
      await expect(createApiClient(path, 100).listPorts()).rejects.toMatchObject({
        code: 'ERR_API_TIMEOUT',
        message: `${path} did not answer GET /v1/ports within 100 ms`,
      });
    }
  });

  test('gives up on an answer without an end', async () => {
    const path = await serveHttp((_, response) => {
      const more = (): void => {
        while (response.write(' '.repeat(1024 * 1024)));
        response.once('drain', more);
      };
      more();
    });
    await expect(createApiClient(path).listPorts()).rejects.toMatchObject({
      code: 'ERR_API_UNREACHABLE',
      message: `cannot use the API at ${path}: its answer is over 16777216 bytes`,
    });
  });
});
