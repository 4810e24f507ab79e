import { type Socket, connect } from 'node:net';

const CONNECT_TIMEOUT_MS = 10_000;

/** Connections to an echo server that have carried a byte, and carry no other. */
export class IdleConnections implements Disposable {
  readonly #sockets: Socket[] = [];

  /** One at a time: some peers listen with a backlog of one. */
  async open(port: number): Promise<void> {
    this.#sockets.push(await openIdle(port));
  }

  /** By resets, so that none of them keeps a port of ours for a minute. */
  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }
}

/** Resolves once a byte came back: the connection then exists on all of its legs. */
function openIdle(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.setTimeout(CONNECT_TIMEOUT_MS, () =>
      socket.destroy(new Error(`no echo through port ${port} within ${CONNECT_TIMEOUT_MS} ms`)),
    );
    socket.on('connect', () => socket.write('x'));
    socket.on('data', () => {
      socket.setTimeout(0);
      resolve(socket);
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`port ${port} closed an idle connection`)));
  });
}
