/**
 * Starts the servers of a turn inside whatever namespace `wrapper` makes, and ends them: they live
 * as long as the connection of servers.mjs to the control socket in the turn's folder.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { type Server, type Socket, connect, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { SluiceError, messageOf } from '../../../src/msg/errors.js';
import { type CommandLine, waitFor } from '../command.js';
import { isAlive, processTree } from '../processes.js';
import { CHILD_PORTS, type Ports, type Turn } from './peer.js';

const SERVERS = fileURLToPath(new URL('../inside/servers.mjs', import.meta.url));
const START_TIMEOUT_MS = 20_000;
/** Before each of SIGTERM and SIGKILL. */
const STOP_TIMEOUT_MS = 5000;
const LOG_TAIL_BYTES = 2000;

export interface Launched {
  /** The process that `wrapper` became. */
  readonly pid: number;
  /** servers.mjs. */
  readonly serversPid: number;
  readonly stop: () => Promise<void>;
}

/** `wrapper` gets the command line of the servers appended, which listen on `address`. */
export async function launchServers(
  wrapper: CommandLine,
  turn: Turn,
  address = '127.0.0.1',
): Promise<Launched> {
  const control = createServer();
  control.listen(`${turn.folder}/control.sock`);
  await once(control, 'listening');
  const { iperf, http, echo, udp } = CHILD_PORTS;
  const [file, ...args] = wrapper;
  const where = [turn.folder, address, `${iperf}`, `${http}`, `${echo}`, `${udp}`];
  const child = spawnLogged([file, ...args, process.execPath, SERVERS, ...where], turn);
  try {
    const { socket, serversPid } = await readyServers(control, child, turn);
    const pid = child.pid ?? 0;
    const stop = async (): Promise<void> => {
      const tree = processTree([pid]);
      socket.destroy();
      control.close();
      await end(tree);
    };
    return { pid, serversPid, stop };
  } catch (error) {
    control.close();
    await end(child.pid === undefined ? [] : processTree([child.pid]), 0);
    const log = readFileSync(`${turn.folder}/log`, 'utf8').slice(-LOG_TAIL_BYTES);
    throw new SluiceError('BENCH_START', `'${file}' did not start: ${messageOf(error)}\n${log}`, {
      cause: error,
    });
  }
}

/** A process group of its own, so that Ctrl-C reaches the benchmark alone; output to the log. */
export function spawnLogged([file, ...args]: CommandLine, turn: Turn): ChildProcess {
  const log = openSync(`${turn.folder}/log`, 'a');
  const child = spawn(file, args, {
    detached: true,
    stdio: ['ignore', log, log],
    env: { ...process.env, XDG_RUNTIME_DIR: turn.folder },
  });
  closeSync(log);
  child.on('error', () => undefined);
  turn.note([file, ...args]);
  return child;
}

async function readyServers(
  control: Server,
  child: ChildProcess,
  { signal }: Turn,
): Promise<{ socket: Socket; serversPid: number }> {
  let socket: Socket | undefined;
  let said = '';
  control.on('connection', (connection: Socket) => {
    socket = connection;
    connection.setEncoding('utf8').on('data', (text: string) => (said += text));
    connection.on('error', () => connection.destroy());
  });
  const serversPid = await waitFor(
    'its servers are ready',
    START_TIMEOUT_MS,
    () => {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) {
        throw new SluiceError('BENCH_START', `it ended: ${child.signalCode ?? child.exitCode}`);
      }
      const pid = /^ready (\d+)\n/.exec(said)?.[1];
      return pid === undefined ? undefined : Number(pid);
    },
    signal,
  );
  if (socket === undefined) {
    throw new SluiceError('BENCH_START', 'its servers hung up');
  }
  return { socket, serversPid };
}

/** Waits for the processes to end by themselves, then insists: SIGTERM, SIGKILL. */
export async function end(pids: readonly number[], patienceMs = STOP_TIMEOUT_MS): Promise<void> {
  const gone = (): true | undefined => (pids.some(isAlive) ? undefined : true);
  const steps = [undefined, 'SIGTERM', 'SIGKILL'] as const;
  for (const step of steps) {
    for (const pid of step === undefined ? [] : pids.filter(isAlive)) {
      try {
        process.kill(pid, step);
      } catch {
        // It ended between the look and the signal.
      }
    }
    try {
      await waitFor('end', step === undefined ? patienceMs : STOP_TIMEOUT_MS, gone);
      return;
    } catch (error) {
      if (step === 'SIGKILL') {
        console.error(`bench: still running: ${pids.filter(isAlive).join(' ')}`, error);
      }
    }
  }
}

/** Free ports of 127.0.0.1, all different. */
export async function freePorts(): Promise<Ports> {
  const servers = await Promise.all(
    [1, 2, 3, 4].map(async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const [iperf = 0, http = 0, echo = 0, udp = 0] = servers.map((server) => {
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return { iperf, http, echo, udp };
}

/** Resolves once a byte comes back from the echo server at 127.0.0.1:`port`. */
export async function waitForEcho(port: number, { signal }: Turn): Promise<void> {
  await waitFor(`an echo through port ${port}`, START_TIMEOUT_MS, () => echoes(port), signal);
}

function echoes(port: number): Promise<true | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.on('connect', () => socket.write('x'));
    socket.on('data', () => {
      resolve(true);
      socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve(undefined));
  });
}
