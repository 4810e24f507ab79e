/** Two agents share the ports: what clients and callers see of it, also when one is killed. */
import { beforeEach, expect, it } from 'vitest';
import { flowsSchema } from '../../src/parent/api/flows.js';
import { type Namespace, enter, makeHost } from '../harness/namespaces.js';
import { userNamespaces } from '../harness/needs.js';
import { type Program, run, start } from '../harness/processes.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { answersTo, type RunningDriver, startDriver, udpAnswersTo } from './driver-support.js';
import { driverOf, isRunning, Load } from './survive-support.js';

const DEADLINE_MS = 30_000;
const HELD = 200;
/** Of those each agent has about a half: who is busy with something else takes fewer. */
const FAIR_SHARE = 50;

/** Sends back what it gets, over TCP and UDP. */
const SERVER = `
  const udp = require('node:dgram').createSocket('udp4')
    .on('message', (bytes, { port, address }) => udp.send(bytes, port, address));
  require('node:net').createServer((socket) => socket.on('error', () => {}).pipe(socket))
    .listen(80, '127.0.0.1', () => udp.bind(80, '127.0.0.1', () => console.log('serving')));`;

/**
 * Opens connections one after the other, prints how many were answered, and holds them. At SIGUSR1
 * it prints how many of them still get an answer.
 */
const HOLDER = `
  const { connect } = require('node:net');
  const [port, count] = process.argv.slice(1).map(Number);
  const ask = (socket) => new Promise((resolve) => {
    if (socket.destroyed) return resolve(false);
    socket.once('data', () => resolve(true)).once('close', () => resolve(false)).write('x');
  });
  const answered = async (sockets) => (await Promise.all(sockets.map(ask))).filter(Boolean).length;
  (async () => {
    const sockets = [];
    let held = 0;
    for (let opened = 0; opened < count; opened++) {
      const socket = connect(port, '127.0.0.1').on('error', () => {});
      sockets.push(socket);
      held += (await ask(socket)) ? 1 : 0;
    }
    console.log('held ' + held);
    process.on('SIGUSR1', async () => console.log('still ' + (await answered(sockets))));
    setInterval(() => {}, 1000);
  })();`;

const spec = (parentPort: number, proto: 'tcp' | 'udp' = 'tcp') =>
  ({ proto, parentIP: '127.0.0.1', parentPort, childPort: 80 }) as const;

async function stillHeldBy(program: Program): Promise<number> {
  program.signal('SIGUSR1');
  const [, count] = await program.line(/^still (\d+)$/m, DEADLINE_MS);
  return Number(count);
}

describeWith([userNamespaces], 'two agents', () => {
  const cleanup = perTest();
  let host: Namespace;
  let driver: RunningDriver;
  let both: number[];

  beforeEach(async () => {
    host = await makeHost(cleanup);
    const command = [process.execPath, '--eval', SERVER];
    driver = await startDriver(cleanup, host, { command, options: ['--agents=2'] });
    both = await driver.program.until(pair, DEADLINE_MS, 'two agents');
    await driver.add(spec(8080));
  });

  const pair = async () => {
    const serving = await driver.servingAgents();
    return serving.length === 2 && serving;
  };

  async function hold(port: number, count: number): Promise<{ program: Program; held: number }> {
    const command = [process.execPath, '--eval', HOLDER, String(port), String(count)];
    const program = await start(cleanup, enter(host, ...command));
    const [, held] = await program.line(/^held (\d+)$/m, DEADLINE_MS);
    return { program, held: Number(held) };
  }

  /** How many flows of a port each agent has. */
  async function spread(id: number): Promise<Map<number, number>> {
    const { body } = await driver.ask('GET', `/v1/ports/${id}/flows`);
    const counts = new Map<number, number>();
    for (const { agent } of flowsSchema.parse(JSON.parse(body)).flows) {
      counts.set(agent, (counts.get(agent) ?? 0) + 1);
    }
    return counts;
  }

  /** Resolves with the agents that serve once `killed` is replaced. */
  function replaced(killed: number): Promise<number[]> {
    const isReplaced = async () => {
      const serving = await pair();
      return serving !== false && !serving.includes(killed) && serving;
    };
    return driver.program.until(isReplaced, DEADLINE_MS, 'another agent');
  }

  it('are told of, and share the connections of a port', async () => {
    const info = await run(sluice('info', '--socket', driver.socketPath));
    for (const pid of both) expect(info).toContain(`    - ${pid}: serving since `);
    await driver.add(spec(8081));
    const load = await Load.start(cleanup, host, 8081);
    expect((await hold(8081, HELD)).held).toBe(HELD);
    expect(await load.tally()).toMatchObject({ failed: {}, keptEnd: '' });
    // One after the other, with nothing beside them.
    expect((await hold(8080, HELD)).held).toBe(HELD);
    for (const counts of [await spread(1), await spread(2)]) {
      for (const pid of both) expect(counts.get(pid)).toBeGreaterThan(FAIR_SHARE);
    }
  });

  it('go on without the one that is killed: nobody is refused, and it is replaced', async () => {
    const load = await Load.start(cleanup, host, 8080);
    await driver.add(spec(8081));
    const { program } = await hold(8081, HELD);
    const [killed = 0, other = 0] = both;
    const had = (await spread(2)).get(other);
    const spare = await driver.spareAgent();
    process.kill(killed, 'SIGKILL');
    expect(new Set(await replaced(killed))).toEqual(new Set([other, spare]));
    await load.goesOn();
    const { failed } = await load.tally();
    expect(Object.keys(failed).filter((how) => !['ECONNRESET', 'cut'].includes(how))).toEqual([]);
    expect(await stillHeldBy(program)).toBe(had);

    await hold(8080, HELD);
    const counts = await spread(1);
    for (const pid of [other, spare]) expect(counts.get(pid)).toBeGreaterThan(FAIR_SHARE);
  });

  it('have ports of UDP apart, and a successor gets those of its predecessor', async () => {
    const ports = [9000, 9001, 9002, 9003];
    const ids: number[] = [];
    for (const port of ports) ids.push((await driver.add(spec(port, 'udp'))).id);
    const endpoints = ports.map((port) => ['127.0.0.1', port] as const);
    const answers = ports.map(() => 'hello');
    expect(await udpAnswersTo(host, endpoints)).toEqual(answers);
    const homes = await Promise.all(ids.map(async (id) => [...(await spread(id)).keys()]));
    expect(homes.map((pids) => pids.length)).toEqual([1, 1, 1, 1]);
    expect(new Set(homes.flat())).toEqual(new Set(both));

    const [killed = 0] = both;
    process.kill(killed, 'SIGKILL');
    await replaced(killed);
    expect(await udpAnswersTo(host, endpoints)).toEqual(answers);
  });

  it('have both closed a port when its removal is answered', async () => {
    for (let round = 0; round < 20; round++) {
      for (const proto of ['tcp', 'udp'] as const) {
        const { id } = await driver.add(spec(8081, proto));
        expect(await driver.remove(id)).toEqual({ status: 200, body: '' });
      }
    }
    expect(await answersTo(host, [['127.0.0.1', 8081]])).toEqual(['ECONNREFUSED']);
  });

  it('go on without their driver, and the next one finds both', async () => {
    await driver.add(spec(9000, 'udp'));
    await driver.add(spec(9001, 'udp'));
    const { program, held } = await hold(8080, HELD);
    const parent = driverOf(driver.program.pid) as number;
    process.kill(parent, 'SIGKILL');
    await until(() => !isRunning(parent), DEADLINE_MS, 'the end of the driver');
    expect(new Set(await driver.servingAgents())).toEqual(new Set(both));
    expect(await stillHeldBy(program)).toBe(held);

    // Each of them is known with its ports.
    for (const killed of both) {
      process.kill(killed, 'SIGKILL');
      await replaced(killed);
      const ends = [9000, 9001].map((port) => ['127.0.0.1', port] as const);
      expect(await udpAnswersTo(host, ends)).toEqual(['hello', 'hello']);
    }
    expect(await driver.remove(1)).toEqual({ status: 200, body: '' });
    expect(await answersTo(host, [['127.0.0.1', 8080]])).toEqual(['ECONNREFUSED']);
    await driver.add(spec(8080));
  });

  it('are both replaced by `sluice reload`, which nobody notices', async () => {
    const load = await Load.start(cleanup, host, 8080);
    const { program, held } = await hold(8080, HELD);
    const told = await run(sluice('reload', '--socket', driver.socketPath));
    expect(told).toMatch(/^agents \d+, \d+ serve, 2 finishing their flows\n$/);
    const fresh = (await pair()) || [];
    expect(fresh.filter((pid) => both.includes(pid))).toEqual([]);
    await load.goesOn();
    expect(await load.tally()).toMatchObject({ failed: {}, keptEnd: '' });
    expect(await stillHeldBy(program)).toBe(held);
    expect(driver.program.stderr).toBe('');
  });
});

describeWith([userNamespaces], 'two agents with limits', () => {
  const cleanup = perTest();

  it.each([
    ['--max-flows', 4],
    ['--max-flows-per-port', 6],
  ])('%s=%d let in so many together', async (option, most) => {
    const host = await makeHost(cleanup);
    const command = [process.execPath, '--eval', SERVER];
    const options = ['--agents=2', `${option}=${most}`];
    const driver = await startDriver(cleanup, host, { command, options });
    await driver.add(spec(8080));
    const holder = [process.execPath, '--eval', HOLDER, '8080', String(HELD)];
    const program = await start(cleanup, enter(host, ...holder));
    await program.line(new RegExp(`^held ${most}$`, 'm'), DEADLINE_MS);
    expect(await driver.servingAgents()).toHaveLength(2);
  });
});
