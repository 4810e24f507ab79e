import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { end, waitForEcho } from './launch.js';
import { launchNamespace, missingProgram } from './namespace.js';
import { CHILD_PORTS, type Peer, type Ports } from './peer.js';

const PIPE = fileURLToPath(new URL('../inside/pipe.mjs', import.meta.url));

const HAND_OVER_TIMEOUT_MS = 10_000;

/** Listens on a free port of the host and hands the socket over; resolves with the port. */
async function handOver(
  pipe: ChildProcess,
  childPort: number,
  signal: AbortSignal,
): Promise<number> {
  const listener = createServer();
  listener.listen({ host: '127.0.0.1', port: 0, backlog: 4096 });
  await once(listener, 'listening');
  const address = listener.address();
  pipe.send(childPort, listener);
  try {
    await once(pipe, 'message', { signal });
  } finally {
    listener.close();
  }
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function handOverAll(pipe: ChildProcess, turnSignal: AbortSignal): Promise<Ports> {
  const signal = AbortSignal.any([turnSignal, AbortSignal.timeout(HAND_OVER_TIMEOUT_MS)]);
  const iperf = await handOver(pipe, CHILD_PORTS.iperf, signal);
  const http = await handOver(pipe, CHILD_PORTS.http, signal);
  return { iperf, http, echo: await handOver(pipe, CHILD_PORTS.echo, signal), udp: 0 };
}

export const nodePipe: Peer = {
  name: 'node',
  description: "Node's net with pipe(), inside the namespace, listening sockets handed to it",
  version: [process.execPath, '--version'],
  missing: () => missingProgram('unshare', 'nsenter', 'ip'),
  async start(turn) {
    const namespace = await launchNamespace(turn);
    const [execPath, ...enterArgs] = namespace.enter;
    const execArgv = [...enterArgs, process.execPath];
    const pipe = fork(PIPE, { execPath, execArgv, detached: true });
    pipe.on('error', () => undefined);
    turn.note(pipe.spawnargs);
    const pids = pipe.pid === undefined ? [] : [pipe.pid];
    const stop = async (): Promise<void> => {
      if (pipe.connected) {
        pipe.disconnect();
      }
      await namespace.stop();
      await end(pids);
    };
    try {
      const ports = await handOverAll(pipe, turn.signal);
      await waitForEcho(ports.echo, turn);
      return { ports, enter: [], forwarders: () => pids, stop };
    } catch (error) {
      await stop();
      throw error;
    }
  },
};
