import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { DgramAsPromised } from 'dgram-as-promised';
import { beforeEach, expect, it } from 'vitest';
import { createApiClient } from '../../src/parent/api/client.js';
import { type Cleanup, temporaryFolder } from '../harness/cleanup.js';
import { promtool, tool, userNamespaces } from '../harness/needs.js';
import { PROMTOOL, REPOSITORY } from '../harness/paths.js';
import { freePort } from '../harness/ports.js';
import { run, start } from '../harness/processes.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perTest } from '../harness/suite.js';
import { answerThrough, DEADLINE_MS } from './launcher-support.js';

interface Measured {
  readonly spec: string;
  readonly api: string;
  readonly listen: string;
}

/** A driver with one port, through which one request has gone. */
async function startMeasured(cleanup: Cleanup): Promise<Measured> {
  const stateDir = temporaryFolder(cleanup);
  const [port, metricsPort] = [await freePort(), await freePort()];
  const spec = `127.0.0.1:${port}:80/tcp`;
  const listen = `127.0.0.1:${metricsPort}`;
  const flags = ['--state-dir', stateDir, '--metrics-listen', listen, '-p', spec];
  const server = ['busybox', 'httpd', '-f', '-p', '80', '-h', stateDir];
  const driver = await start(cleanup, sluice('run', ...flags, '--', ...server));
  await answerThrough(driver, port);
  return { spec, api: join(stateDir, 'api.sock'), listen };
}

/** Samples by their name and labels, as written. */
function samplesOf(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

describeWith([userNamespaces, tool('curl')], 'metrics', () => {
  const cleanup = perTest();

  it('are served on the API socket and on the loopback address that was asked for', async () => {
    const { api, listen } = await startMeasured(cleanup);
    const overSocket = await run(['curl', '-sf', '--unix-socket', api, 'http://sluice/metrics']);
    const headers = await run(['curl', '-sf', '-D-', `http://${listen}/metrics`]);
    expect(headers).toMatch(/^content-type: text\/plain; version=0\.0\.4; charset=utf-8\r$/im);
    for (const text of [overSocket, headers]) {
      const samples = samplesOf(text);
      expect(samples.get('sluice_ports')).toBe(1);
      expect(samples.get('sluice_flows_accepted_total{transport="tcp"}')).toBeGreaterThan(0);
      expect(samples.get('sluice_agent_restarts_total')).toBe(0);
    }
  });

  it('are all that is served over TCP', async () => {
    const { listen } = await startMeasured(cleanup);
    const status = ['curl', '-s', '-o', '/dev/null', '-w', '%{http_code}'];
    expect(await run([...status, `http://${listen}/v1/ports`])).toBe('404');
    expect(await run([...status, '-X', 'POST', `http://${listen}/metrics`])).toBe('405');
  });

  it('do not start a driver whose address for them is taken', async () => {
    const { listen } = await startMeasured(cleanup);
    const program = await start(cleanup, sluice('run', '--metrics-listen', listen, '--', 'true'));
    expect(await program.exited(DEADLINE_MS)).toEqual({ code: 1, signal: null });
    expect(program.stderr).toContain(`sluice: cannot listen on ${listen}/tcp: `);
  });
});

describeWith([userNamespaces, tool('curl'), promtool], 'metrics', () => {
  const cleanup = perTest();

  it('pass promtool’s lint', async () => {
    const { api } = await startMeasured(cleanup);
    const text = await run(['curl', '-sf', '--unix-socket', api, 'http://sluice/metrics']);
    expect(await run([PROMTOOL, 'check', 'metrics'], { input: text })).toBe('');
  });
});

/** Sends back what it gets, on port 7 of TCP and UDP. */
const ECHO = `
  require('node:net').createServer((socket) => socket.on('error', () => {}).pipe(socket))
    .listen(7, '127.0.0.1');
  const udp = require('node:dgram').createSocket('udp4');
  udp.on('message', (bytes, { port, address }) => udp.send(bytes, port, address)).bind(7, '127.0.0.1');
  udp.once('listening', () => console.log('serving'));`;

describeWith([userNamespaces, tool('curl')], 'metrics of ports', () => {
  const cleanup = perTest();
  let api: string;
  let specs: { readonly tcp: string; readonly udp: string; readonly closed: string };
  let ports: Readonly<Record<keyof typeof specs, number>>;

  beforeEach(async () => {
    const stateDir = temporaryFolder(cleanup);
    api = join(stateDir, 'api.sock');
    ports = { tcp: await freePort(), udp: await freePort(), closed: await freePort() };
    specs = {
      tcp: `127.0.0.1:${ports.tcp}:7/tcp`,
      udp: `127.0.0.1:${ports.udp}:7/udp`,
      closed: `127.0.0.1:${ports.closed}:9/tcp`,
    };
    const publish = Object.values(specs).flatMap((spec) => ['-p', spec]);
    const flags = ['--agents=1', '--state-dir', stateDir];
    const server = [process.execPath, '--eval', ECHO];
    const driver = await start(cleanup, sluice('run', ...flags, ...publish, '--', ...server));
    await driver.line(/serving/, DEADLINE_MS);
  });

  const scrape = async () =>
    samplesOf(await run(['curl', '-sf', '--unix-socket', api, 'http://sluice/metrics']));

  it('count every byte, connection and refusal of TCP', async () => {
    expect(await throughTcp(ports.tcp, 3_000_000)).toBe(3_000_000);
    expect(await throughTcp(ports.tcp, 1000)).toBe(1000);
    expect(await throughTcp(ports.closed, 1000)).toBe(0);
    const samples = await scrape();
    const [tcp, closed] = [`port="1",spec="${specs.tcp}"`, `port="3",spec="${specs.closed}"`];
    expect(samples.get(`sluice_port_bytes_total{${tcp},direction="in"}`)).toBe(3_001_000);
    expect(samples.get(`sluice_port_bytes_total{${tcp},direction="out"}`)).toBe(3_001_000);
    expect(samples.get(`sluice_port_flows_accepted_total{${tcp}}`)).toBe(2);
    expect(samples.get(`sluice_port_flows{${tcp}}`)).toBe(0);
    expect(samples.get(`sluice_port_connect_duration_seconds_count{${tcp}}`)).toBe(2);
    const last = `sluice_port_connect_duration_seconds_bucket{${tcp},le="+Inf"}`;
    expect(samples.get(last)).toBe(2);
    expect(samples.get(`sluice_port_flows_refused_total{${closed}}`)).toBe(1);
    expect(samples.get(`sluice_port_connect_duration_seconds_count{${closed}}`)).toBe(0);
  });

  it('count every datagram of UDP', async () => {
    const socket = DgramAsPromised.createSocket('udp4');
    cleanup.defer(async () => {
      await socket.close();
    });
    for (let count = 0; count < 3; count++) {
      await socket.send(Buffer.alloc(100), 0, 100, ports.udp, '127.0.0.1');
      await socket.recv();
    }
    const samples = await scrape();
    const udp = `port="2",spec="${specs.udp}"`;
    for (const direction of ['in', 'out']) {
      const labels = `{${udp},direction="${direction}"}`;
      expect(samples.get(`sluice_port_packets_total${labels}`)).toBe(3);
      expect(samples.get(`sluice_port_bytes_total${labels}`)).toBe(300);
    }
    expect(samples.get(`sluice_port_flows{${udp}}`)).toBe(1);
  });

  it('do not fall when an agent is replaced, except those of what is there now', async () => {
    expect(await throughTcp(ports.tcp, 1000)).toBe(1000);
    const open = connect(ports.tcp, '127.0.0.1');
    open.on('error', () => {}).write('x');
    await once(open, 'data');
    const labels = `{port="1",spec="${specs.tcp}"}`;
    const before = await scrape();
    expect(before.get(`sluice_port_flows${labels}`)).toBe(1);
    const [agent] = (await createApiClient(api).info()).portDriver?.agents?.running ?? [];
    process.kill(agent?.pid ?? 0, 'SIGKILL');
    await new Promise((resolve) => open.once('close', resolve));
    expect(await throughTcp(ports.tcp, 10)).toBe(10);
    const after = await scrape();
    expect(after.get('sluice_agent_restarts_total')).toBe(1);
    expect(after.get(`sluice_port_flows${labels}`)).toBe(0);
    expect(after.get(`sluice_port_flows_accepted_total${labels}`)).toBe(3);
    expect(after.get('sluice_flows_accepted_total{transport="tcp"}')).toBe(3);
    const bytes = `sluice_port_bytes_total{port="1",spec="${specs.tcp}",direction="in"}`;
    expect(after.get(bytes)).toBe(1011);
  });

  it('are what the dashboard for Grafana asks for', async () => {
    const text = readFileSync(join(REPOSITORY, 'docs/grafana-dashboard.json'), 'utf8');
    expect(JSON.parse(text)).toMatchObject({ title: 'sluice', schemaVersion: 39 });
    const asked = new Set(text.match(/\bsluice_[a-z_]+/g));
    const metrics = await run(['curl', '-sf', '--unix-socket', api, 'http://sluice/metrics']);
    const families = [...metrics.matchAll(/^# TYPE (\S+) (\S+)$/gm)].flatMap(
      ([, name = '', type = '']) =>
        type === 'histogram' ? ['_bucket', '_sum', '_count'].map((end) => name + end) : [name],
    );
    expect([...asked].filter((name) => !families.includes(name))).toEqual([]);
    const unasked = families.filter((name) => !asked.has(name));
    expect(unasked.filter((name) => !/_(sum|count)$/.test(name))).toEqual([]);
  });
});

/** How many bytes come back from an echo server. */
async function throughTcp(port: number, bytes: number): Promise<number> {
  const socket = connect(port, '127.0.0.1');
  let got = 0;
  socket.on('data', (chunk: Buffer) => (got += chunk.length)).on('error', () => {});
  socket.end(Buffer.alloc(bytes));
  await new Promise((resolve) => socket.once('close', resolve));
  return got;
}
