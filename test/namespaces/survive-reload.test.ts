/** An upgrade under traffic: the driver and its agents are replaced, connections go on. */
import { createHash } from 'node:crypto';
import { beforeEach, expect, it } from 'vitest';
import { flowsSchema } from '../../src/parent/api/flows.js';
import { type Namespace, enter, makeHost } from '../harness/namespaces.js';
import { userNamespaces } from '../harness/needs.js';
import { type Program, run, start } from '../harness/processes.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { type RunningDriver, startDriver } from './driver-support.js';
import { driverOf, isRunning, Load } from './survive-support.js';

const DEADLINE_MS = 30_000;
const CHUNK_BYTES = 64 * 1024;
const CHUNKS = 100;

/** Echoes on port 80; on port 81 every client gets CHUNKS chunks, each when it asks for it. */
const SERVER = `
  const { createServer } = require('node:net');
  createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(80, '127.0.0.1');
  createServer((socket) => {
    let sent = 0;
    socket.on('error', () => {}).on('data', (asked) => {
      for (const _ of asked) socket.write(Buffer.alloc(${CHUNK_BYTES}, sent++));
      if (sent === ${CHUNKS}) socket.end();
    });
  }).listen(81, '127.0.0.1', () => console.log('serving'));`;

/** Asks for the next chunk whenever a line comes in, and for the rest at "rest". */
const DOWNLOAD = `
  const { createHash } = require('node:crypto');
  const hash = createHash('sha256');
  let bytes = 0;
  const socket = require('node:net').connect(Number(process.argv[1]), '127.0.0.1');
  const ask = () => socket.write('x');
  socket.on('connect', ask).on('error', ({ code }) => console.log('failed ' + code))
    .on('close', () => console.log('hash ' + hash.digest('hex')))
    .on('data', (chunk) => {
      hash.update(chunk);
      bytes += chunk.length;
      if (bytes % ${CHUNK_BYTES} !== 0) return;
      if (bytes === ${CHUNK_BYTES}) console.log('begun');
      else ask();
    });
  process.on('SIGUSR1', ask);`;

const WHOLE = createHash('sha256');
for (let chunk = 0; chunk < CHUNKS; chunk++) WHOLE.update(Buffer.alloc(CHUNK_BYTES, chunk));
const HASH = WHOLE.digest('hex');

const spec = (parentPort: number, childPort: number) =>
  ({ proto: 'tcp', parentIP: '127.0.0.1', parentPort, childPort }) as const;

describeWith([userNamespaces], 'sluice reload', () => {
  const cleanup = perTest();
  let host: Namespace;
  let driver: RunningDriver;
  let download: Program;

  beforeEach(async () => {
    host = await makeHost(cleanup);
    const command = [process.execPath, '--eval', SERVER];
    driver = await startDriver(cleanup, host, { command });
    await driver.add(spec(8080, 80));
    await driver.add(spec(8081, 81));
    download = await start(cleanup, enter(host, process.execPath, '--eval', DOWNLOAD, '8081'));
    await download.line(/^begun$/m, DEADLINE_MS);
  });

  const reload = (...options: string[]) =>
    run(sluice('reload', '--socket', driver.socketPath, ...options));
  const agents = async () => {
    const running = (await driver.info()).portDriver?.agents?.running ?? [];
    return running.filter(({ state }) => state !== 'spare');
  };

  /** Adds and removes a port until `over`; resolves with how often, rejects when one is refused. */
  async function callAgain(over: AbortSignal): Promise<number> {
    let count = 0;
    for (; !over.aborted; count++) await driver.remove((await driver.add(spec(8082, 80))).id);
    return count;
  }

  it('loses no byte of a download, no new connection and no call of the API', async () => {
    const load = await Load.start(cleanup, host, 8080);
    const [old] = await driver.servingAgents();
    const oldSpare = await driver.spareAgent();
    const parent = driverOf(driver.program.pid);
    const over = new AbortController();
    const calls = callAgain(over.signal);
    // A failure shows below.
    calls.catch(() => {});
    expect(await reload()).toMatch(/^agent \d+ serves, 1 finishing their flows\n$/);
    over.abort();
    expect(await calls).toBeGreaterThan(1);
    expect(await agents()).toMatchObject([{ state: 'serving' }, { pid: old, state: 'draining' }]);
    await load.goesOn();

    download.signal('SIGUSR1');
    const [, hash] = await download.line(/^hash (\w+)$/m, DEADLINE_MS);
    expect(hash).toBe(HASH);
    expect(await load.tally()).toMatchObject({ failed: {}, keptEnd: '' });
    // Both of its connections have ended.
    await until(async () => (await agents()).length === 1, DEADLINE_MS, 'the end of the old agent');
    expect(isRunning(old as number)).toBe(false);
    expect(await driver.spareAgent()).not.toBe(oldSpare);
    expect(isRunning(oldSpare)).toBe(false);

    expect(driverOf(driver.program.pid)).toBe(parent);
    expect((await driver.list()).map(({ id }) => id)).toEqual([1, 2]);
    expect(await driver.remove(1)).toEqual({ status: 200, body: '' });
    expect(driver.program.stderr).toBe('');
  });

  it('shows the flows of the old agent and of the new one together', async () => {
    const [old] = await driver.servingAgents();
    await reload();
    const [fresh] = await driver.servingAgents();
    const other = await start(cleanup, enter(host, process.execPath, '--eval', DOWNLOAD, '8081'));
    await other.line(/^begun$/m, DEADLINE_MS);
    const told = async () =>
      flowsSchema.parse(JSON.parse((await driver.ask('GET', '/v1/ports/2/flows')).body));
    const { total, flows } = await told();
    expect([total, new Set(flows.map(({ agent }) => agent))]).toEqual([2, new Set([old, fresh])]);
    expect(flows.map(({ bytesOut }) => bytesOut)).toEqual([CHUNK_BYTES, CHUNK_BYTES]);
    await other.end();
    await until(async () => (await told()).total === 1, DEADLINE_MS, 'the end of one');
    expect((await told()).flows[0]?.agent).toBe(old);
  });

  it('ends what is not finished at the limit', async () => {
    await reload('--drain-limit', '0');
    expect((await download.line(/^(failed|hash) \w+$/m, DEADLINE_MS))[0]).not.toBe(`hash ${HASH}`);
    await until(async () => (await agents()).length === 1, DEADLINE_MS, 'the end of the old agent');
  });

  it('can be done again and again', async () => {
    for (const draining of [1, 2, 3]) {
      const held = await start(cleanup, enter(host, process.execPath, '--eval', DOWNLOAD, '8081'));
      await held.line(/^begun$/m, DEADLINE_MS);
      expect(await reload()).toContain(`serves, ${draining} finishing`);
    }
    download.signal('SIGUSR1');
    expect((await download.line(/^hash (\w+)$/m, DEADLINE_MS))[1]).toBe(HASH);
  });

  it('passes on more options than one argument holds', async () => {
    const many = Array.from({ length: 1500 }, (_, index) => 10_000 + index);
    const published = many.flatMap((port) => ['-p', `127.0.0.1:${port}:80/tcp`]);
    const command = [process.execPath, '--eval', SERVER];
    const options = ['--agents=1', '-p', '127.0.0.1:9999:80/udp', ...published];
    const full = await startDriver(cleanup, await makeHost(cleanup), { command, options });
    expect(await run(sluice('reload', '--socket', full.socketPath))).toMatch(/ serves/);
    expect((await full.list()).map(({ spec: { parentPort } }) => parentPort)).toEqual([
      9999,
      ...many,
    ]);
    // Nobody has inherited its socket by mistake.
    await full.remove(1);
    expect(await full.add({ ...spec(9999, 80), proto: 'udp' })).toMatchObject({ id: 1502 });
    expect(full.program.stderr).toBe('');
  });

  it('refuses a limit that is none', async () => {
    await expect(reload('--drain-limit', 'long')).rejects.toThrow(
      'sluice: --drain-limit is "long", expected seconds from 0 to 604800',
    );
    const body = '{"drainLimitMs":-1}';
    expect(await driver.ask('POST', '/v1/reload', body)).toEqual({
      status: 400,
      body: '{"message":"invalid message: drainLimitMs is -1, expected an integer from 0 to 9007199254740991"}',
    });
  });
});
