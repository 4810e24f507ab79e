import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { stateSchema } from '../../src/parent/cli/top/state.js';
import { temporaryFolder } from '../harness/cleanup.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { freePort } from '../harness/ports.js';
import { type Program, run, start } from '../harness/processes.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perTest } from '../harness/suite.js';
import { startTerminal } from '../harness/terminal.js';
import { driverOf } from './survive-support.js';
import { DEADLINE_MS } from './launcher-support.js';

const ECHO = `require('node:net').createServer((socket) => socket.on('error', () => {}).pipe(socket))
  .listen(7, '127.0.0.1', () => console.log('serving'));`;

describeWith([userNamespaces, tool('script')], 'sluice top', () => {
  const cleanup = perTest();
  let api: string;
  let driver: Program;
  let specs: readonly string[];
  let client: Socket;

  beforeEach(async () => {
    const stateDir = temporaryFolder(cleanup);
    api = join(stateDir, 'api.sock');
    const ports = [await freePort(), await freePort()];
    specs = [`127.0.0.1:${ports[0]}:7/tcp`, `127.0.0.1:${ports[1]}:7/udp`];
    const publish = specs.flatMap((spec) => ['-p', spec]);
    const flags = ['--agents=1', '--state-dir', stateDir];
    const command = [process.execPath, '--eval', ECHO];
    driver = await start(cleanup, sluice('run', ...flags, ...publish, '--', ...command));
    await driver.line(/serving/, DEADLINE_MS);
    client = connect(ports[0] ?? 0, '127.0.0.1');
    cleanup.defer(() => client.destroy());
    client.on('error', () => {}).write('x');
    await once(client, 'data');
  });

  it('prints a table once, and a state as JSON that its schema describes', async () => {
    const table = await run(sluice('top', '--once', '--socket', api));
    // It may have a spare agent by now.
    expect(table).toMatch(
      /^agent \d+ serving  cpu [\d.]+%  memory \d+MB\n(agent \d+ spare .*\n)?   ID FLOWS /,
    );
    expect(table).toMatch(new RegExp(`^    1     1 .* ${specs[0]} -> 127.0.0.1:7$`, 'm'));
    const filtered = await run(sluice('top', '--once', '--filter', 'udp', '--socket', api));
    expect(filtered).toContain(`  ${specs[1]}\n`);
    expect(filtered).not.toContain(specs[0]);
    const json = await run(sluice('top', '--once', '--json', '--socket', api));
    const state = stateSchema.parse(JSON.parse(json));
    expect(stateSchema.strict().parse(JSON.parse(json))).toEqual(state);
    expect(state.ports[0]?.stats).toMatchObject({ flows: 1, bytesIn: 1, bytesOut: 1 });
    expect(state.ports.map(({ server }) => server)).toEqual([
      { ip: '127.0.0.1', port: 7 },
      undefined,
    ]);
  });

  it('leaves it to sluice flows to print those of one port', async () => {
    const table = await run(sluice('flows', '1', '--socket', api));
    const [titles = '', row, ...others] = table.split('\n');
    expect(titles.trim().split(/ +/)).toEqual(
      'CLIENT SERVER STATE AGE IDLE BYTESIN BYTESOUT PACKETSIN PACKETSOUT AGENT'.split(' '),
    );
    const from = `127.0.0.1:${client.localPort}`;
    expect(row).toMatch(
      new RegExp(`^${from} +127.0.0.1:7 +open +\\d+m?s +\\d+m?s +1 +1 +0 +0 +\\d+ +$`),
    );
    expect(others).toEqual(['']);
    const json = JSON.parse(await run(sluice('flows', '1', '--json', '--socket', api))) as object;
    const flow = { client: { ip: '127.0.0.1', port: client.localPort }, bytesIn: 1, bytesOut: 1 };
    expect(json).toMatchObject({ total: 1, flows: [flow] });
    await expect(run(sluice('flows', '9', '--socket', api))).rejects.toThrow(
      'sluice: there is no port with ID 9; list-ports shows them',
    );
  });

  it.each([
    [24, 80, 'xterm', ''],
    [6, 40, 'xterm', 'NO_COLOR=1 '],
    [3, 20, 'dumb', ''],
  ])('is a live view of %d rows and %d columns', async (rows, columns, term, setting) => {
    const command = `${setting}TERM=${term} ${sluice('top', '--socket', api).join(' ')}`;
    const env = { NO_COLOR: '' };
    const sized = `stty rows ${rows} cols ${columns}; ${command}`;
    const terminal = await startTerminal(cleanup, sized, { env });
    await terminal.shows(/sluice \d\d:\d\d:\d\d[^]*sluice \d\d:\d\d:\d\d/);
    terminal.press('s');
    await terminal.shows(/sort: fl/);
    terminal.press('\r');
    await terminal.shows(/Esc back/);
    await terminal.shows(new RegExp(`> .*127.0.0.1:${client.localPort}`));
    if (rows > 6) await terminal.shows(/served by +127.0.0.1:7, through agent \d+/);
    terminal.press('/nobody');
    await terminal.shows(/filter: nobody_/);
    expect(terminal.written.includes('\u001b[1m')).toBe(setting === '' && rows > 3);
    terminal.press('\rq');
    expect(await terminal.ended()).toEqual({ code: 0, signal: null });
    // The cursor, and what was there before.
    expect(terminal.written).toMatch(/\?25h.*\?1049l\s*$/);
  });

  it('goes on with the driver that takes the place of one that was killed', async () => {
    const viewer = await start(cleanup, sluice('top', '--json', '--socket', api));
    await viewer.line(/"time"/, DEADLINE_MS);
    process.kill(driverOf(driver.pid) ?? 0, 'SIGKILL');
    await driver.until(() => viewer.stdout.includes('"agentRestarts":0'), DEADLINE_MS, 'a state');
    const seen = viewer.stdout.length;
    const hasMore = () => viewer.stdout.slice(seen).split('\n').length > 3;
    await viewer.until(hasMore, DEADLINE_MS, 'states of the next driver');
    await driver.end();
    expect(await viewer.exited(DEADLINE_MS)).toEqual({ code: 1, signal: null });
    expect(viewer.stderr).toBe(`sluice: the driver behind ${api} has ended\n`);
  });
});
