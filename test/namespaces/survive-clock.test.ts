/** Setting the machine's clock ends nothing: no deadline is counted in its time. */
import { expect, it } from 'vitest';
import { libfaketime, WallClock } from '../harness/clock.js';
import { enter, makeHost } from '../harness/namespaces.js';
import { userNamespaces } from '../harness/needs.js';
import { start } from '../harness/processes.js';
import { describeWith, perTest } from '../harness/suite.js';
import { startDriver } from './driver-support.js';
import { Load } from './survive-support.js';

const DEADLINE_MS = 30_000;
const DAY_MS = 86_400_000;

/** Echoes TCP; answers a datagram with the port that it came from, which tells the session. */
const SERVER = `
  require('node:net').createServer((socket) => socket.on('error', () => {}).pipe(socket))
    .listen(80, '127.0.0.1', () => console.log('serving'));
  const udp = require('node:dgram').createSocket('udp4');
  udp.on('message', (_, { port }) => udp.send(String(port), port, '127.0.0.1')).bind(80);`;

/** Says so for every ten answers, with the sessions that they came by. */
const DATAGRAMS = `
  const udp = require('node:dgram').createSocket('udp4');
  const sessions = new Set();
  let answers = 0;
  udp.on('message', (session) => {
    sessions.add(String(session));
    if (++answers % 10 === 0) console.log('answers by ' + [...sessions]);
  });
  setInterval(() => udp.send('x', 8080, '127.0.0.1'), 20);`;

const spec = (proto: 'tcp' | 'udp') =>
  ({ proto, parentIP: '127.0.0.1', parentPort: 8080, childPort: 80 }) as const;

describeWith([userNamespaces, libfaketime], 'a clock that is set', () => {
  const cleanup = perTest();

  it.each([
    ['ahead', '+30d', 30],
    ['back', '-30d', -30],
  ])('%s ends no connection, no session and no agent', async (_, offset, days) => {
    const clock = new WallClock(cleanup);
    const host = await makeHost(cleanup);
    const command = [process.execPath, '--eval', SERVER];
    const driver = await startDriver(cleanup, host, { command, env: clock.env });
    await driver.add(spec('tcp'));
    await driver.add(spec('udp'));
    const load = await Load.start(cleanup, host, 8080);
    const client = await start(cleanup, enter(host, process.execPath, '--eval', DATAGRAMS));
    const lines = () => client.stdout.split('\n').filter(Boolean);
    const moreAnswers = async () => {
      const before = lines().length;
      await client.until(() => lines().length > before + 3, DEADLINE_MS, 'further answers');
    };
    await moreAnswers();
    const [agent = 0] = await driver.servingAgents();

    clock.jump(offset);
    await load.goesOn();
    await moreAnswers();
    expect(await driver.servingAgents()).toEqual([agent]);
    expect(await load.tally()).toMatchObject({ failed: {}, keptEnd: '' });
    expect(lines().at(-1)).toMatch(/^answers by \d+$/);

    // What is started now tells the time that was set.
    const before = [agent, await driver.spareAgent()];
    process.kill(agent, 'SIGKILL');
    const another = async () =>
      (await driver.info()).portDriver?.agents?.running.find(({ pid }) => !before.includes(pid));
    const { since } = await driver.program.until(another, DEADLINE_MS, 'another agent');
    const jumpedMs = Date.parse(since) - Date.now();
    expect(Math.round(jumpedMs / DAY_MS)).toBe(days);
    expect(driver.program.stderr).toMatch(
      /^.* msg="the agent ended by SIGKILL; starting another"\n$/,
    );
  });
});
