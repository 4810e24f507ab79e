import { existsSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../harness/cleanup.js';
import { holdSocket, unboundSocket } from '../../src/parent/api/socket.js';
import { ask } from '../harness/http.js';
import { start } from '../harness/processes.js';
import { perTest } from '../harness/suite.js';
import { startApi } from './support/api.js';

const cleanup = perTest();
const INFO = '/v1/info';

describe('the API socket', () => {
  test('is its owner’s alone, and the only file made', async () => {
    const { stateDir, socketPath } = await startApi(cleanup);
    expect(statSync(socketPath).mode & 0o777).toBe(0o600);
    expect(await readdir(stateDir)).toEqual(['api.sock']);
  });

  test('is removed by close', async () => {
    const { api, stateDir } = await startApi(cleanup);
    await api.close();
    expect(await readdir(stateDir)).toEqual([]);
  });

  test('of a process that was killed is replaced', async () => {
    const first = await startApi(cleanup);
    await first.api.close();
    const program = await start(cleanup, [
      process.execPath,
      '-e',
      `require('node:net').createServer().listen(process.argv[1], () => console.log('up'))`,
      first.socketPath,
    ]);
    await program.line(/^up$/m, 10_000);
    program.signal('SIGKILL');
    await program.exited(10_000);
    expect(existsSync(first.socketPath)).toBe(true);

    await first.api.listen(first.socketPath);
    expect((await ask({ socketPath: first.socketPath, path: INFO })).status).toBe(200);
  });

  test('of a live process is an error, and goes on working', async () => {
    const { socketPath } = await startApi(cleanup);
    const { api } = await startApi(cleanup);
    await api.close();
    await expect(api.listen(socketPath)).rejects.toMatchObject({
      code: 'ERR_SOCKET_LIVE',
      message: `cannot serve on ${socketPath}: another process serves there; stop it or use another path`,
    });
    expect((await ask({ socketPath, path: INFO })).status).toBe(200);
  });

  test('that another process has put in its place is left alone by close', async () => {
    const ours = await startApi(cleanup);
    const other = await startApi(cleanup);
    renameSync(other.socketPath, ours.socketPath);
    await ours.api.close();
    expect((await ask({ socketPath: ours.socketPath, path: INFO })).status).toBe(200);
  });

  test('can be moved to another name and serves on', async () => {
    const { socketPath, stateDir } = await startApi(cleanup);
    const moved = join(stateDir, 'moved.sock');
    renameSync(socketPath, moved);
    expect((await ask({ socketPath: moved, path: INFO })).status).toBe(200);
  });

  test('that is held lets callers wait for whoever serves on it, one after the other', async () => {
    const folder = temporaryFolder(cleanup);
    const path = join(folder, 'held.sock');
    const [socket, other] = [unboundSocket(), unboundSocket()];
    cleanup.defer(() => [socket, other].forEach((one) => one.close()));
    const remove = await holdSocket(socket, path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    for (const _ of ['first', 'second']) {
      const { api } = await startApi(cleanup);
      await api.close();
      const waiting = ask({ socketPath: path, path: INFO });
      await api.listen(path, socket.number);
      expect((await waiting).status).toBe(200);
      await api.leave();
    }
    expect(await readdir(folder)).toEqual(['held.sock']);
    await expect(holdSocket(other, path)).rejects.toMatchObject({ code: 'ERR_SOCKET_LIVE' });
    remove();
    expect(await readdir(folder)).toEqual([]);
  });

  test('never takes the place of a file that is not a socket', async () => {
    const { api, stateDir } = await startApi(cleanup);
    await api.close();
    const path = join(stateDir, 'precious');
    writeFileSync(path, 'data');
    await expect(api.listen(path)).rejects.toMatchObject({
      code: 'ERR_SOCKET',
      message: `cannot serve on ${path}: a file that is not a socket is there; remove it or use another path`,
    });
  });

  test('fits wherever api.sock does, and a longer path is refused', async () => {
    const { api } = await startApi(cleanup);
    await api.close();
    const folder = temporaryFolder(cleanup);
    const longest = join(folder, 'x'.repeat(107 - folder.length - 1));
    await api.listen(longest);
    await api.close();
    await expect(api.listen(`${longest}x`)).rejects.toMatchObject({
      code: 'ERR_SOCKET',
      message: `cannot serve on ${longest}x: the path has 108 bytes, and a unix socket's at most 107; use a shorter state directory`,
    });
  });

  test('in a folder that is not there is an error that says so', async () => {
    const { api, stateDir } = await startApi(cleanup);
    await api.close();
    const path = join(stateDir, 'missing/api.sock');
    await expect(api.listen(path)).rejects.toThrow(
      /^cannot serve on .*api\.sock: listen (ENOENT|EACCES)/,
    );
  });
});
