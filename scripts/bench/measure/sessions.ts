/** UDP sessions that have carried a datagram each way. */
import { type Socket, createSocket } from 'node:dgram';
import { once } from 'node:events';
import { freePort } from '../../../test/harness/ports.js';
import { climb, ladderOf } from './ladder.js';
import type { Measurement } from './measurement.js';
import { PortApi } from './port-api.js';

/** Of the limits, a port may have half and a client a quarter: these are more than enough. */
const PORTS = 4;
const CLIENTS = 16;
const ANSWER_TIMEOUT_MS = 1000;
const TRIES = 10;
/** Which udp-sink.mjs echoes. */
const QUESTION = Buffer.alloc(16, 3);

/** Each has a socket connected to the server. */
export const sessionLadder = ladderOf('sessions', 'UDP sessions', 2);

export const sessions: Measurement = {
  name: 'sessions',
  apart: true,
  metrics: sessionLadder.metrics,
  async take(peer, context) {
    using api = new PortApi(peer);
    const ports: number[] = [];
    while (ports.length < PORTS) {
      const port = await freePort();
      await api.add('udp', port);
      ports.push(port);
    }
    const sockets: Socket[] = [];
    try {
      const open = async (): Promise<void> => {
        const client = `127.0.0.${2 + (sockets.length % CLIENTS)}`;
        const socket = createSocket('udp4');
        sockets.push(socket);
        await openSession(socket, client, ports[sockets.length % PORTS] ?? 0);
      };
      // A port's first session may take longer: where it leads to is being found out.
      for (const _ of ports) await open();
      return await climb(sessionLadder, peer, context, open);
    } finally {
      for (const socket of sockets) socket.close();
    }
  },
};

/** Resolves with the first answer; what gets lost is sent again. */
async function openSession(socket: Socket, client: string, port: number): Promise<void> {
  socket.bind(0, client);
  await once(socket, 'listening');
  for (let attempt = 1; ; attempt++) {
    socket.send(QUESTION, port, '127.0.0.1');
    try {
      await once(socket, 'message', { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
      return;
    } catch (error) {
      if (attempt === TRIES) throw error;
    }
  }
}
