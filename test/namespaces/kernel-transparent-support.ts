/** A child namespace with a container behind a link, as an engine has it, and who connects there. */
import { join } from 'node:path';
import type { Cleanup } from '../harness/cleanup.js';
import {
  CLIENT_ADDRESS,
  HOST_ADDRESS,
  type Namespace,
  enter,
  makeClient,
  makeHost,
  runIn,
} from '../harness/namespaces.js';
import { REPOSITORY } from '../harness/paths.js';
import { start } from '../harness/processes.js';
import { until } from '../harness/wait.js';
import type { Attempt } from './kernel-transparent-client.js';

export const PORT = 80;
/** Serves as well. */
export const OTHER_PORT = 81;
export const CLOSED_PORT = 82;

export const CONTAINER = CLIENT_ADDRESS;
export const LOOPBACK = { v4: '127.0.0.1', v6: '::1' } as const;
/** In no namespace, and in no network of theirs. */
export const CLIENT = { v4: '10.1.2.3', v6: 'fd00:9::3' } as const;

const READY_MS = 30_000;

/** Answers with the peer's address and port, and closes once the peer has. */
const SERVER = `
  const answer = (s) => {
    s.on('error', () => {});
    s.write(s.remoteAddress.replace('::ffff:', '') + ' ' + s.remotePort);
    s.resume();
  };
  let starting = 2;
  const ready = () => --starting || console.log('ready');
  for (const port of [${PORT}, ${OTHER_PORT}]) {
    require('node:net').createServer(answer).listen(port, '::', ready);
  }`;

const PROGRAM = join(REPOSITORY, 'test/namespaces/kernel-transparent-client.ts');

/** Waits until link-local addresses are known to be unique: they have their routes from then on. */
export async function untilSettled(namespace: Namespace): Promise<void> {
  const tentative = () => runIn(namespace, ['ip', '-6', 'addr', 'show', 'tentative']);
  await until(async () => (await tentative()) === '', READY_MS, 'link-local addresses');
}

/** `child` has no route to anywhere but its container. Both serve on every address of theirs. */
export async function makeChild(
  cleanup: Cleanup,
): Promise<{ child: Namespace; container: Namespace }> {
  const child = await makeHost(cleanup);
  const container = await makeClient(cleanup, child);
  for (const gateway of [HOST_ADDRESS.v4, HOST_ADDRESS.v6]) {
    await runIn(container, ['ip', 'route', 'add', 'default', 'via', gateway]);
  }
  for (const namespace of [child, container]) {
    // Neighbours of a foreign source address are asked for from the link-local one.
    await untilSettled(namespace);
    const server = await start(cleanup, enter(namespace, process.execPath, '-e', SERVER));
    await server.line(/ready/, READY_MS);
  }
  return { child, container };
}

/** What came of each. */
export async function connectFrom(
  child: Namespace,
  attempts: readonly Attempt[],
): Promise<string[]> {
  const command = [process.execPath, '--import', 'tsx', PROGRAM, JSON.stringify(attempts)];
  return (await runIn(child, command)).trimEnd().split('\n');
}

export function attempt(
  sourceIp: string,
  serverIp: string,
  {
    sourcePort = 5000,
    serverPort = PORT,
    ...more
  }: Partial<Attempt> & {
    readonly sourcePort?: number;
    readonly serverPort?: number;
  } = {},
): Attempt {
  const source = { ip: sourceIp, port: sourcePort };
  return { source, server: { ip: serverIp, port: serverPort }, ...more };
}
