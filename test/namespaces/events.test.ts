import { expect, it } from 'vitest';
import { join } from 'node:path';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { connect } from 'node:net';
import { createApiClient } from '../../src/parent/api/client.js';
import { type Cleanup, temporaryFolder } from '../harness/cleanup.js';
import { userNamespaces } from '../harness/needs.js';
import { freePort } from '../harness/ports.js';
import { type Program, start } from '../harness/processes.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { DEADLINE_MS } from './launcher-support.js';

interface Watched {
  readonly api: string;
  readonly driver: Program;
  readonly viewer: Program;
}

/** A driver without ports, with one agent, and a `sluice events` that watches it. */
async function startWatched(cleanup: Cleanup, ...args: string[]): Promise<Watched> {
  const stateDir = temporaryFolder(cleanup);
  const api = join(stateDir, 'api.sock');
  const command = ['sh', '-c', 'echo ready; exec sleep 600'];
  const flags = ['--agents=1', '--state-dir', stateDir];
  const driver = await start(cleanup, sluice('run', ...flags, '--', ...command));
  await driver.line(/ready/, DEADLINE_MS);
  const viewer = await start(cleanup, sluice('events', '--socket', api, ...args));
  await viewer.line(/watching/, DEADLINE_MS);
  return { api, driver, viewer };
}

async function sluiceDoes(cleanup: Cleanup, api: string, ...args: string[]): Promise<void> {
  const program = await start(cleanup, sluice(...args, '--socket', api));
  expect(await program.exited(DEADLINE_MS)).toEqual({ code: 0, signal: null });
}

function lines({ stdout }: Program): string[] {
  return stdout.trimEnd().split('\n');
}

describeWith([userNamespaces], 'sluice events', () => {
  const cleanup = perTest();

  it('tells people of ports that come and go', async () => {
    const { api, driver, viewer } = await startWatched(cleanup);
    const spec = `127.0.0.1:${await freePort()}:80/tcp`;
    await sluiceDoes(cleanup, api, 'add-ports', spec);
    await sluiceDoes(cleanup, api, 'remove-ports', '1');
    await viewer.line(/portRemoved/, DEADLINE_MS);
    expect(lines(viewer).map((line) => line.replace(/^\d\d:\d\d:\d\d /, ''))).toEqual([
      `portAdded port 1: published ${spec}`,
      `portRemoved port 1: no longer publishes ${spec}`,
    ]);
    await driver.end();
    expect(await viewer.exited(DEADLINE_MS)).toEqual({ code: 1, signal: null });
    expect(viewer.stderr).toBe(
      `sluice: watching the driver behind ${api}\nsluice: the driver behind ${api} has ended\n`,
    );
  });

  it('tells programs the same, and of agents that died', async () => {
    const { api, viewer } = await startWatched(cleanup, '--json');
    const parentPort = await freePort();
    await sluiceDoes(cleanup, api, 'add-ports', `127.0.0.1:${parentPort}:80/tcp`);
    const [agent] = (await createApiClient(api).info()).portDriver?.agents?.running ?? [];
    process.kill(agent?.pid ?? 0, 'SIGKILL');
    await viewer.line(/agentReplaced/, DEADLINE_MS);
    const [added, replaced] = lines(viewer).map((line) => JSON.parse(line) as { time: string });
    expect(added).toEqual({
      time: added?.time,
      type: 'portAdded',
      port: 1,
      spec: { proto: 'tcp', parentIP: '127.0.0.1', parentPort, childPort: 80 },
    });
    expect(Date.parse(added?.time ?? '')).toBeGreaterThan(0);
    expect(replaced).toMatchObject({ type: 'agentReplaced', reason: 'the agent ended by SIGKILL' });
  });

  it('tells of flows that no server took, in one event for all within a second', async () => {
    const { api, viewer } = await startWatched(cleanup, '--json');
    const parentPort = await freePort();
    await sluiceDoes(cleanup, api, 'add-ports', `127.0.0.1:${parentPort}:80/tcp`);
    const clients = Array.from({ length: 3 }, () => connect(parentPort, '127.0.0.1'));
    const local = await Promise.all(
      clients.map(async (client) => {
        await once(client, 'connect');
        const { localPort } = client;
        await new Promise((resolve) => client.on('error', () => {}).once('close', resolve));
        return `127.0.0.1:${localPort}`;
      }),
    );
    await viewer.line(/flowRefused/, DEADLINE_MS);
    const [, refused] = lines(viewer).map((line) => JSON.parse(line) as { client?: string });
    expect(refused).toMatchObject({ type: 'flowRefused', port: 1, flows: 3 });
    expect(local).toContain(refused?.client);
  });

  it('that is stopped holds up neither the driver nor what is forwarded', async () => {
    const { api, viewer } = await startWatched(cleanup, '--json');
    viewer.signal('SIGSTOP');
    const client = createApiClient(api);
    const port = await freePort();
    const spec = { proto: 'tcp', parentIP: '127.0.0.1', parentPort: port, childPort: 80 } as const;
    for (let count = 0; count < 300; count++)
      await client.removePort((await client.addPort(spec)).id);
    const { id } = await client.addPort(spec);
    // Nothing listens there: the agent answers by a reset.
    const socket = connect(port, '127.0.0.1');
    await new Promise((resolve) => socket.on('error', () => {}).once('close', resolve));
    expect(viewer.stdout).toBe('');
    viewer.signal('SIGCONT');
    await viewer.line(new RegExp(`"portAdded","port":${id},`), DEADLINE_MS);
    await viewer.line(/flowRefused/, DEADLINE_MS);
  });

  it('ends quietly when its reader leaves', async () => {
    const { api, viewer } = await startWatched(cleanup);
    await viewer.end();
    const script = '"$@" | head -n 1';
    const command = ['sh', '-c', script, 'sh', ...sluice('events', '--socket', api)];
    const piped = await start(cleanup, command);
    await piped.line(/watching/, DEADLINE_MS);
    // The first event is read, and head(1) ends; some event after that finds no reader.
    const hasEnded = async () => {
      await sluiceDoes(cleanup, api, 'add-ports', `127.0.0.1:${await freePort()}:80/tcp`);
      return piped.ended;
    };
    await until(hasEnded, DEADLINE_MS, 'the end');
    expect(await piped.exit).toEqual({ code: 0, signal: null });
    expect(lines(piped)).toHaveLength(1);
    expect(piped.stderr).toBe(`sluice: watching the driver behind ${api}\n`);
  });

  it('says that another driver can not be watched', async () => {
    const path = join(temporaryFolder(cleanup), 'api.sock');
    const info = { apiVersion: '1.1.1', version: '2', stateDir: '/', childPID: 1 };
    const body = JSON.stringify({ ...info, portDriver: { driver: 'builtin', protos: ['tcp'] } });
    const server = createServer((_, response) => response.end(body)).listen(path);
    await once(server, 'listening');
    cleanup.defer(() => server.close());
    const viewer = await start(cleanup, sluice('events', '--socket', path));
    expect(await viewer.exited(DEADLINE_MS)).toEqual({ code: 1, signal: null });
    expect(viewer.stderr).toBe(
      `sluice: the port driver behind ${path} is "builtin", which can't be watched; sluice attach takes its ports over\n`,
    );
  });
});
