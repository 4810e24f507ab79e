/**
 * A listening unix socket at a path that others may have used before, or may take over.
 *
 * The socket is bound under a name of its own and renamed to its path: nobody ever sees it with the
 * wrong mode, a stale file is replaced without a gap, and libuv, which unlinks the name that it
 * bound when it closes, finds nothing to unlink. The path is removed by us, and only while it still
 * leads to our socket: bound, it keeps its inode number from being used again.
 *
 * A launcher holds the socket that its driver serves on: while a driver is started again callers
 * wait, and none is refused.
 */
import { once } from 'node:events';
import { chmodSync, lstatSync, renameSync, type Stats, statSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { messageOf, SluiceError } from '../../msg/errors.js';
import { Fd, must } from '../../msg/fd.js';
import * as libc from '../../msg/libc.js';
import * as linux from '../../msg/linux.js';
import { removeFile } from '../remove-file.js';

/** sun_path of unix(7) without its final NUL. */
const MAX_PATH_BYTES = 107;
/** Callers that wait for a driver that is being started again. */
const BACKLOG = 128;

/** How to undo it: call it before the socket is closed. */
export type RemovePath = () => void;

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
): Promise<RemovePath> {
  await makeSocket(path, async (boundPath) => {
    const server = listen(boundPath);
    await once(server, 'listening');
    return server;
  });
  return removerOf(path);
}

/**
 * Lets `socket` listen on `path`, mode 0600. Nobody serves there: callers wait in its backlog for the
 * process that has inherited it, or will. It stays the caller's to close.
 *
 * @throws SluiceError as `listenAt`
 */
export async function holdSocket(socket: Fd, path: string): Promise<RemovePath> {
  await makeSocket(path, async (boundPath) => {
    bindUnix(socket, boundPath);
    return socket;
  });
  return removerOf(path);
}

/** For `holdSocket`. */
export function unboundSocket(): Fd {
  const type = linux.SOCK_STREAM | linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC;
  return new Fd(must(libc.socket(linux.AF_UNIX, type, 0), 'socket'));
}

/** Serves on an inherited socket, which `holdSocket` has made at `path`. It stays the caller's. */
export async function serveHeld(server: Server, path: string, held: number): Promise<RemovePath> {
  const own = must(libc.fcntl(held, linux.F_DUPFD_CLOEXEC, 0), 'fcntl');
  server.listen({ fd: own });
  await once(server, 'listening');
  return removerOf(path);
}

/** sockaddr_un of unix(7). */
function bindUnix(socket: Fd, path: string): void {
  const address = libc.allocate(2 + MAX_PATH_BYTES + 1);
  address.view.setUint16(0, linux.AF_UNIX, true);
  address.bytes.set(Buffer.from(path), 2);
  const length = 2 + Buffer.byteLength(path) + 1;
  must(libc.bind(socket.number, address.address, length), 'bind');
  must(libc.listen(socket.number, BACKLOG), 'listen');
}

/** `listen` binds a socket to the path that it is given, and returns what is to be closed if that fails. */
async function makeSocket(
  path: string,
  listen: (boundPath: string) => Promise<{ close(): unknown }>,
): Promise<void> {
  const bytes = Buffer.byteLength(path);
  if (bytes > MAX_PATH_BYTES) {
    throw new SluiceError(
      'ERR_SOCKET',
      `cannot serve on ${path}: the path has ${bytes} bytes, and a unix socket's at most ${MAX_PATH_BYTES}; use a shorter state directory`,
    );
  }
  await refuseLive(path);
  // As long as "api.sock", so that it fits wherever that does.
  const boundPath = join(dirname(path), `.${Math.random().toString(36).slice(2, 9)}`);
  let bound: { close(): unknown } | undefined;
  try {
    bound = await listen(boundPath);
    chmodSync(boundPath, 0o600);
    renameSync(boundPath, path);
  } catch (error) {
    bound?.close();
    throw new SluiceError('ERR_SOCKET', `cannot serve on ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Removes the path for as long as it leads to the socket that it leads to now. */
function removerOf(path: string): RemovePath {
  const own = statSync(path);
  return () => {
    const there = statusOf(path);
    // In a directory that has become read-only it stays; the next socket replaces it.
    if (there?.ino === own.ino && there.dev === own.dev) removeFile(path);
  };
}

/** Undefined also where it can't be looked at: what is to be done there then says why. */
function statusOf(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    return undefined;
  }
}

async function refuseLive(path: string): Promise<void> {
  const there = statusOf(path);
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
