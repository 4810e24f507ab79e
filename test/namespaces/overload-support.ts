/** Agents with more to do than there is room for. */
import { readFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { agentPids } from '../harness/agents.js';
import type { Cleanup } from '../harness/cleanup.js';
import { freePort } from '../harness/ports.js';
import { type Program, start } from '../harness/processes.js';
import { sluice } from '../harness/sluice.js';
import { AgentProbe } from '../harness/tcp-agent.js';
import { type Pair, connections, startForwarding } from '../harness/tcp-forwarding.js';
import { type TcpSocket, connect } from '../harness/tcp-socket.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 30_000;
const BATCH = 100;
const SPARE_FDS = 500;
/** Each connection takes two fds in the agent, and two of the test's own. */
const hardLimit = Number(
  /^Max open files +\d+ +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1],
);
/** As many connections at a time as the hard limit of open files allows, 20,000 at the most. */
export const MANY = Math.min(20_000, Math.floor((hardLimit - SPARE_FDS) / 2));

/**
 * The kernel looks at every second local port first. Once all of those are in use towards an
 * address and port, each connect() goes through all of them, for milliseconds.
 */
const MOST_PER_ADDRESS = 10_000;
const WIDEST_PORT_RANGE = 'echo 1024 65535 >/proc/sys/net/ipv4/ip_local_port_range';

const ECHO = `require('node:net').createServer((socket) => socket.on('error', () => {}).pipe(socket))
  .listen(7, '127.0.0.1', () => console.log('ready'));`;
/** In the log: connections can be neither taken nor refused. */
export const STUCK = /new connections wait, and can not even be refused: .* \(tried \d+ times\)/;

export interface Echo {
  /** `sluice run` with the server. */
  readonly program: Program;
  /** Where it is published. */
  readonly port: number;
  /** The pid of the agent that serves it. */
  readonly agent: number;
  /** A client of before. */
  readonly old: TcpSocket;
}

export async function startEcho(cleanup: Cleanup): Promise<Echo> {
  const port = await freePort();
  const flags = ['--agents=1', '-p', `127.0.0.1:${port}:7/tcp`];
  const command = [process.execPath, '--eval', ECHO];
  const program = await start(cleanup, sluice('run', ...flags, '--', ...command));
  await program.line(/ready/, DEADLINE_MS);
  const old = connect(cleanup, port);
  await expectEcho(old);
  // The spare one is younger.
  const agents = agentPids().map((pid) => ({ pid, ageMs: new AgentProbe(pid).ageMs() }));
  const [agent] = agents.toSorted((one, other) => other.ageMs - one.ageMs);
  return { program, port, agent: agent?.pid ?? 0, old };
}

export async function expectEcho(client: TcpSocket): Promise<void> {
  client.send('echo');
  await client.expect('echo');
}

export interface Held {
  readonly flows: number;
  readonly shed: number;
  readonly pipes: number;
}

/**
 * Holds `MANY` connections through one port and uses each. Returns what the agent told of them;
 * throws where it keeps anything of them afterwards, or serves no other one.
 */
export async function holdMany(cleanup: Cleanup): Promise<Held> {
  const forwarding = await startForwarding(cleanup);
  await forwarding.run(['sh', '-c', WIDEST_PORT_RANGE]);
  const listener = await forwarding.listen(cleanup);
  const port = await forwarding.publish(listener.port, { parentIP: '0.0.0.0' });
  const idleFds = forwarding.agent.fds().length;
  const connectNext = (before: number) =>
    connect(cleanup, port, `127.0.0.${1 + Math.floor(before / MOST_PER_ADDRESS)}`);

  const pairs = await connections(cleanup, listener, MANY, connectNext);
  const { flows, shed, pipes } = await forwarding.stats();
  await answerEach(pairs);
  for (const [index, { client, server }] of pairs.entries()) {
    client.close();
    server.close();
    if (index % BATCH === 0) await turn();
  }
  await forwarding.idle();
  const left = () => forwarding.agent.fds().length - idleFds;
  await until(() => left() === 0, DEADLINE_MS, 'an agent without fds of flows');
  await answerEach(await connections(cleanup, listener, 1, connectNext));
  return { flows, shed, pipes };
}

/** Each client, whose server has received from it, receives from that one. */
async function answerEach(pairs: readonly Pair[]): Promise<void> {
  for (let first = 0; first < pairs.length; first += BATCH) {
    const batch = pairs.slice(first, first + BATCH);
    for (const [index, { server }] of batch.entries()) server.send(`${first + index}`);
    for (const [index, { client }] of batch.entries()) await client.expect(`${first + index}`);
    await turn();
  }
}
