/** Ports and containers that come and go, each used once in between. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../../src/msg/errors.js';
import { createApiClient } from '../../../src/parent/api/client.js';
import { type Docker, WEB_BODY } from '../../../test/harness/docker.js';
import { ask } from '../../../test/harness/http.js';
import { assertFree, freePort } from '../../../test/harness/ports.js';
import { until } from '../../../test/harness/wait.js';

const ANSWER_MS = 20_000;
const DATAGRAMS = 50;
const DATAGRAM_INTERVAL_MS = 100;
const AFTER_FAILURE_MS = 1000;

export interface Tally {
  done: number;
  /** By what was said. */
  readonly failed: Record<string, number>;
}

/** Does it again and again until `over`; what fails is counted. */
export async function keepDoing(
  tally: Tally,
  over: AbortSignal,
  work: () => Promise<void>,
): Promise<void> {
  while (!over.aborted) {
    try {
      await work();
      tally.done++;
    } catch (error) {
      const what = messageOf(error);
      tally.failed[what] = (tally.failed[what] ?? 0) + 1;
      await sleep(AFTER_FAILURE_MS);
    }
  }
}

/** Publishes a port of each protocol, uses it, and takes it back. */
export function portChurn(apiSocket: string, echo: { tcp: number; udp: number }) {
  const api = createApiClient(apiSocket);
  return async () => {
    for (const proto of ['tcp', 'udp'] as const) {
      const parentPort = await freePort();
      const spec = { proto, parentIP: '127.0.0.1', parentPort, childPort: echo[proto] };
      const { id } = await api.addPort(spec);
      try {
        await (proto === 'tcp' ? echoTcp(parentPort) : echoUdp(parentPort));
      } finally {
        await api.removePort(id);
      }
    }
  };
}

/** Starts a container that publishes a port, asks it, and removes it. */
export function containerChurn(docker: Docker) {
  return async () => {
    const port = await freePort();
    const id = await docker.runWeb('-p', `127.0.0.1:${port}:80`);
    try {
      // It runs before its server listens.
      const page = () => ask({ host: '127.0.0.1', port, path: '/' });
      const { body } = await until(page, ANSWER_MS, 'an answer of a container');
      if (body !== WEB_BODY) throw new Error(`a container answered "${body}"`);
    } finally {
      await docker.docker('rm', '--force', id);
    }
    await assertFree(port);
  };
}

async function echoTcp(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1').end('question');
  const answer = await text(socket);
  if (answer !== 'question') throw new Error(`a new TCP port answered "${answer}"`);
}

async function echoUdp(port: number): Promise<void> {
  const socket = createSocket('udp4');
  try {
    const answered = once(socket, 'message');
    // An error is thrown below.
    answered.catch(() => {});
    socket.connect(port, '127.0.0.1');
    await once(socket, 'connect');
    for (let sent = 0; sent < DATAGRAMS; sent++) {
      socket.send('question');
      const isAnswered = await Promise.race([answered, sleep(DATAGRAM_INTERVAL_MS, undefined)]);
      if (isAnswered !== undefined) return;
    }
    throw new Error('a new UDP port did not answer');
  } finally {
    socket.close();
  }
}
