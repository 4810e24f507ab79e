/**
 * npm run demo: an HTTP server in a user and network namespace of its own, published on a free
 * loopback port of this machine by `sluice run`, and asked once from outside.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const SLUICE = resolve(fileURLToPath(import.meta.url), '../../dist/programs/parent/cli/main.js');

const READY_MS = 20_000;
const END_MS = 10_000;
const RETRY_MS = 50;

const CHILD_PORT = 8000;

// Answers with the namespaces it is in. It listens on their loopback address only, which nothing
// outside can reach by itself.
const SERVER = `
const { readlinkSync } = require('node:fs');
const namespaces = ['user', 'net'].map((name) => readlinkSync('/proc/self/ns/' + name)).join(' ');
require('node:http')
  .createServer((request, response) => response.end('Hello from ' + namespaces))
  .listen(${CHILD_PORT}, '127.0.0.1');
`;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (typeof address !== 'object' || address === null) throw new Error('no free loopback port');
  return address.port;
}

/** Asks again until the server inside has started: until then there is no answer. */
async function ask(url: string, sluice: ChildProcess): Promise<Response> {
  const deadline = performance.now() + READY_MS;
  for (;;) {
    try {
      return await fetch(url, { headers: { connection: 'close' } });
    } catch (cause) {
      if (hasEnded(sluice)) throw new Error('sluice ended by itself', { cause });
      if (performance.now() > deadline) {
        throw new Error(`no answer from ${url} within ${READY_MS} ms`, { cause });
      }
      await sleep(RETRY_MS);
    }
  }
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

async function end(sluice: ChildProcess): Promise<void> {
  if (hasEnded(sluice)) return;
  const exit = once(sluice, 'exit', { signal: AbortSignal.timeout(END_MS) });
  sluice.kill('SIGTERM');
  try {
    await exit;
  } catch (cause) {
    sluice.kill('SIGKILL');
    throw new Error(`sluice did not end within ${END_MS} ms of SIGTERM`, { cause });
  }
}

function show(...lines: readonly string[]): void {
  console.log(lines.join('\n'));
}

async function demo(): Promise<void> {
  const port = await freePort();
  const spec = `127.0.0.1:${port}:${CHILD_PORT}/tcp`;
  const url = `http://127.0.0.1:${port}/`;
  show('', `$ sluice run -p ${spec} -- node -e '<an HTTP server on port ${CHILD_PORT}>'`);
  const sluice = spawn(
    process.execPath,
    [SLUICE, 'run', '-p', spec, '--', process.execPath, '-e', SERVER],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  );
  try {
    const response = await ask(url, sluice);
    const body = await response.text();
    show(`$ curl -i ${url}`, `HTTP/1.1 ${response.status} ${response.statusText}`, body, '');

    const [user, network] = ['user', 'net'].map((name) => readlinkSync(`/proc/self/ns/${name}`));
    const [childUser, childNetwork] = body.match(/\w+:\[\d+\]/g) ?? [];
    if (!response.ok || childNetwork === undefined || childNetwork === network) {
      throw new Error('the answer does not come from a network namespace of its own');
    }
    show(
      `  outside   ${user}   ${network}   port ${port}, user id ${process.getuid?.()}`,
      `  inside    ${childUser}   ${childNetwork}   port ${CHILD_PORT}`,
      '',
    );
  } finally {
    await end(sluice);
  }
  show('The request went through and everything is closed again.');
}

try {
  await demo();
} catch (error) {
  console.error(`demo: failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
