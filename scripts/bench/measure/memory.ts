import { type Socket, connect } from 'node:net';
import { pssBytes } from '../processes.js';
import type { Measurement } from './measurement.js';

const IDLE_CONNECTIONS = 1000;
/** Opened at once: well under every peer's backlog. */
const BATCH = 50;
const CONNECT_TIMEOUT_MS = 10_000;
const BYTES_PER_MIB = 1024 * 1024;

/** Of the forwarders alone, before they carried anything and with idle connections open. */
export const memory: Measurement = {
  name: 'memory',
  metrics: [
    { id: 'memoryRest', label: 'memory (PSS) at rest', unit: 'MiB', better: 'less' },
    {
      id: 'memoryIdle',
      label: `memory (PSS), ${IDLE_CONNECTIONS} idle connections`,
      unit: 'MiB',
      better: 'less',
    },
  ],
  async take(peer, { signal }) {
    if (peer.forwarders().length === 0) {
      return {};
    }
    const memoryRest = pssBytes(peer.forwarders()) / BYTES_PER_MIB;
    const sockets: Socket[] = [];
    try {
      while (sockets.length < IDLE_CONNECTIONS) {
        signal.throwIfAborted();
        const batch = Array.from({ length: BATCH }, () => openIdle(peer.ports.echo));
        sockets.push(...(await Promise.all(batch)));
      }
      return { memoryRest, memoryIdle: pssBytes(peer.forwarders()) / BYTES_PER_MIB };
    } finally {
      for (const socket of sockets) {
        socket.destroy();
      }
    }
  },
};

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
