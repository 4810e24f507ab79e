/** A driver in a "host" namespace of the test's own, with servers in its child namespace. */
import { join } from 'node:path';
import { type Cleanup, temporaryFolder } from '../harness/cleanup.js';
import { type Answer, ask } from '../harness/http.js';
import { type Namespace, enter, runIn } from '../harness/namespaces.js';
import { type Program, start, type StartOptions } from '../harness/processes.js';
import { sluice } from '../harness/sluice.js';
import type { AgentInfo, Spec, Status } from '../../src/msg/port.js';
import type { Info } from '../../src/parent/api/info.js';

const READY_MS = 30_000;

/** An address and a port. */
export type Endpoint = readonly [ip: string, port: number];

/** Listens everywhere it is told to, and answers every connection with the address that it took. */
const SERVER = `
  const { createServer } = require('node:net');
  const endpoints = JSON.parse(process.argv[1]);
  let missing = endpoints.length;
  const answer = (socket) => socket.on('error', () => {})
    .end(socket.localAddress + ' ' + socket.localPort);
  for (const [host, port] of endpoints) createServer(answer)
    .listen({ host, port, ipv6Only: true }, () => --missing || console.log('serving'));`;

/** Connects to all at once, and prints what each of them sent or the errno. */
const CLIENT = `
  const { connect } = require('node:net');
  const talk = ([host, port]) => new Promise((resolve) => {
    let text = '';
    connect(port, host).setEncoding('utf8').on('data', (chunk) => (text += chunk))
      .on('error', ({ code }) => resolve(code)).on('close', () => resolve(text));
  });
  Promise.all(JSON.parse(process.argv[1]).map(talk))
    .then((answers) => console.log(JSON.stringify(answers)));`;

/** Sends a datagram to each address from a connected socket, and prints the answers or errnos. */
const UDP_CLIENT = `
  const { createSocket } = require('node:dgram');
  const ask = ([host, port]) => new Promise((resolve) => {
    const udp = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    udp.on('message', (text) => resolve(text.toString())).on('error', ({ code }) => resolve(code));
    udp.connect(port, host, () => udp.send('hello'));
  });
  Promise.all(JSON.parse(process.argv[1]).map(ask)).then((answers) => {
    console.log(JSON.stringify(answers));
    process.exit();
  });`;
/** What each endpoint answers to a client in the namespace: its server's address, or the errno. */
export async function answersTo(
  namespace: Namespace,
  endpoints: readonly Endpoint[],
): Promise<string[]> {
  const command = [process.execPath, '--eval', CLIENT, JSON.stringify(endpoints)];
  return JSON.parse(await runIn(namespace, command)) as string[];
}

/** The same of UDP, to `hello`; waits for all of them. */
export async function udpAnswersTo(
  from: Namespace,
  endpoints: readonly Endpoint[],
): Promise<string[]> {
  const command = [process.execPath, '--eval', UDP_CLIENT, JSON.stringify(endpoints)];
  return JSON.parse(await runIn(from, command)) as string[];
}

export class RunningDriver {
  readonly program: Program;
  readonly socketPath: string;

  constructor(program: Program, socketPath: string) {
    this.program = program;
    this.socketPath = socketPath;
  }

  /** The same, its API reached by another path. */
  at(socketPath: string): RunningDriver {
    return new RunningDriver(this.program, socketPath);
  }

  post(spec: Partial<Spec>): Promise<Answer> {
    return this.ask('POST', '/v1/ports', JSON.stringify(spec));
  }

  /** Publishes a port that must not be refused. */
  async add(spec: Spec): Promise<Status> {
    const { status, body } = await this.post(spec);
    if (status !== 201) throw new Error(`${status}: ${body}`);
    return JSON.parse(body) as Status;
  }

  remove(id: number): Promise<Answer> {
    return this.ask('DELETE', `/v1/ports/${id}`);
  }

  async list(): Promise<Status[]> {
    return JSON.parse((await this.ask('GET', '/v1/ports')).body) as Status[];
  }

  async info(): Promise<Info> {
    return JSON.parse((await this.ask('GET', '/v1/info')).body) as Info;
  }

  /** The process that stands for the namespaces. */
  async childPid(): Promise<number> {
    return (await this.info()).childPID;
  }

  /** The process ids of the agents that take connections. */
  servingAgents(): Promise<number[]> {
    return this.#agents('serving');
  }

  /** Waits for an agent in reserve; there is one a moment after another one serves. */
  spareAgent(but = 0): Promise<number> {
    const find = async () => (await this.#agents('spare')).find((pid) => pid !== but);
    return this.program.until(find, READY_MS, 'a spare agent');
  }

  async #agents(wanted: AgentInfo['state']): Promise<number[]> {
    const running = (await this.info()).portDriver?.agents?.running ?? [];
    return running.filter(({ state }) => state === wanted).map(({ pid }) => pid);
  }

  async removeAll(): Promise<void> {
    for (const { id } of await this.list()) await this.remove(id);
  }

  ask(method: string, path: string, body?: string): Promise<Answer> {
    return ask({ socketPath: this.socketPath, method, path }, body);
  }
}

interface DriverSetUp {
  /** Of the child namespace's loopback device. */
  readonly addresses?: readonly string[];
  /** Where its server listens. */
  readonly endpoints?: readonly Endpoint[];
  /** Runs in the server's place, and prints `serving` once it does. */
  readonly command?: readonly string[];
  readonly stateDir?: string;
  /** Of `sluice run`. Default: one agent, however many cores there are. */
  readonly options?: readonly string[];
  readonly env?: StartOptions['env'];
  /** Runs `sluice`: a program that executes what it is told. */
  readonly by?: readonly string[];
}

/** Starts a driver in `host`, with a server in its child namespace. */
export async function startDriver(
  cleanup: Cleanup,
  host: Namespace,
  { addresses = [], endpoints = [], options = ['--agents=1'], ...given }: DriverSetUp,
): Promise<RunningDriver> {
  const stateDir = given.stateDir ?? temporaryFolder(cleanup);
  const setUp = addresses.map((address) => `ip addr add ${address} dev lo`);
  const server = given.command ?? [process.execPath, '--eval', SERVER, JSON.stringify(endpoints)];
  const command = ['sh', '-e', '-c', [...setUp, 'exec "$@"'].join('\n'), 'sh', ...server];
  const program = await start(
    cleanup,
    enter(
      host,
      ...(given.by ?? []),
      ...sluice('run', '--state-dir', stateDir, ...options, '--', ...command),
    ),
    given.env && { env: given.env },
  );
  await program.line(/^serving$/m, READY_MS);
  return new RunningDriver(program, join(stateDir, 'api.sock'));
}
