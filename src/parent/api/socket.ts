/**
 * A listening unix socket at a path that others may have used before, or may take over.
 *
 * The socket is bound under a name of its own and renamed to its path: nobody ever sees it with the
 * wrong mode, a stale file is replaced without a gap, and libuv, which unlinks the name that it
 * bound when it closes, finds nothing to unlink. The path is removed by us, and only while it still
 * leads to our socket: bound, it keeps its inode number from being used again.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, lstat, rename, rm, stat } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { messageOf, SluiceError } from '../../msg/errors.js';

/** sun_path of unix(7) without its final NUL. */
const MAX_PATH_BYTES = 107;

/**
 * Listens on `path`, mode 0600, with the server that `listen` starts on the path that it is given.
 * Resolves with a function that removes the path if it is still ours; call it before the server
 * closes.
 *
 * @throws SluiceError ERR_SOCKET_LIVE when another process serves there, else ERR_SOCKET
 */
export async function listenAt(
  listen: (boundPath: string) => Server,
  path: string,
): Promise<() => Promise<void>> {
  const bytes = Buffer.byteLength(path);
  if (bytes > MAX_PATH_BYTES) {
    throw new SluiceError(
      'ERR_SOCKET',
      `cannot serve on ${path}: the path has ${bytes} bytes, and a unix socket's at most ${MAX_PATH_BYTES}; use a shorter state directory`,
    );
  }
  await refuseLive(path);
  // As long as "api.sock", so that it fits wherever that does.
  const boundPath = join(dirname(path), `.${randomBytes(5).toString('base64url')}`);
  const server = listen(boundPath);
  try {
    await once(server, 'listening');
    await chmod(boundPath, 0o600);
    await rename(boundPath, path);
  } catch (error) {
    server.close();
    throw new SluiceError('ERR_SOCKET', `cannot serve on ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  const own = await stat(path);
  return async () => {
    const there = await lstat(path).catch(() => undefined);
    if (there?.ino === own.ino && there.dev === own.dev) {
      await rm(path, { force: true });
    }
  };
}

async function refuseLive(path: string): Promise<void> {
  const there = await lstat(path).catch(() => undefined);
  if (there === undefined) {
    return;
  }
  if (!there.isSocket()) {
    throw new SluiceError(
      'ERR_SOCKET',
      `cannot serve on ${path}: a file that is not a socket is there; remove it or use another path`,
    );
  }
  const code = await connectError(path);
  if (code !== 'ECONNREFUSED' && code !== 'ENOENT') {
    throw new SluiceError(
      'ERR_SOCKET_LIVE',
      `cannot serve on ${path}: another process serves there; stop it or use another path`,
    );
  }
}

/** The errno name, or undefined when somebody took the connection. */
async function connectError(path: string): Promise<string | undefined> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return undefined;
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : messageOf(error);
  } finally {
    socket.destroy();
  }
}
