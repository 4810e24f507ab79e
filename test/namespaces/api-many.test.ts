/** Many requests at once to a running driver, and one right after the other. */
import { readdirSync } from 'node:fs';
import { afterEach, beforeAll, expect, it } from 'vitest';
import type { Spec } from '../../src/msg/port.js';
import { type Namespace, makeHost, runIn } from '../harness/namespaces.js';
import { userNamespaces } from '../harness/needs.js';
import { describeWith, perSuite } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { type RunningDriver, answersTo, startDriver } from './driver-support.js';

const DEADLINE_MS = 15_000;
const SPEC = { proto: 'tcp', parentIP: '127.0.0.1', parentPort: 8080, childPort: 80 } as const;

describeWith([userNamespaces], 'a driver that is asked a lot', () => {
  const suite = perSuite();
  let host: Namespace;
  let driver: RunningDriver;

  beforeAll(async () => {
    host = await makeHost(suite);
    driver = await startDriver(suite, host, { endpoints: [['127.0.0.1', 80]] });
  });

  afterEach(() => driver.removeAll());

  const ports = Array.from({ length: 50 }, (_, index) => 20_000 + index);
  const specs = ports.map((parentPort) => ({ ...SPEC, parentPort }));

  it('adds and removes fifty different ports at once', async () => {
    const added = await Promise.all(specs.map((spec) => driver.add(spec)));
    const endpoints = ports.map((port) => ['127.0.0.1', port] as const);
    expect(new Set(added.map(({ id }) => id)).size).toBe(50);
    expect((await driver.list()).map(({ spec }) => spec)).toEqual(specs);
    expect(await answersTo(host, endpoints)).toEqual(Array(50).fill('127.0.0.1 80'));
    const removed = await Promise.all(added.map(({ id }) => driver.remove(id)));
    expect(removed.map(({ status }) => status)).toEqual(Array(50).fill(200));
    expect(await driver.list()).toEqual([]);
    expect(await answersTo(host, endpoints)).toEqual(Array(50).fill('ECONNREFUSED'));
  });

  it('adds one address once, asked for it fifty times at once', async () => {
    const answers = await Promise.all(specs.map(() => driver.post(SPEC)));
    const [{ id } = { id: 0 }] = await driver.list();
    const refusal = `{"message":"conflict with ID ${id}"}`;
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ body }) => body === refusal)).toHaveLength(49);
  });

  it('removes a port once, asked for it fifty times at once', async () => {
    const { id } = await driver.add(SPEC);
    const answers = await Promise.all(specs.map(() => driver.remove(id)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 400)).toHaveLength(49);
  });

  it('adds and removes a hundred ports at once, after which no socket is left', async () => {
    // The first round opens what the driver keeps.
    await lives(driver, 50);
    const before = fdsOf(driver);
    expect(await lives(driver, 100)).toEqual(Array(100).fill(200));
    await until(() => fdsOf(driver) <= before, DEADLINE_MS, `at most ${before} fds`);
  });

  it('frees the host port before it answers, a hundred times, and never gives an id twice', async () => {
    const script = `
      import { request } from 'node:http';
      import { createServer } from 'node:net';
      import { once } from 'node:events';
      const ask = async (method, path, body) => {
        const sent = request({ socketPath: process.argv[1], method, path }).end(body);
        const [response] = await once(sent, 'response');
        return { status: response.statusCode, text: (await response.toArray()).join('') };
      };
      const ids = [];
      for (let round = 0; round < 100; round++) {
        const added = await ask('POST', '/v1/ports', process.argv[2]);
        if (added.status !== 201) throw new Error(added.text);
        ids.push(JSON.parse(added.text).id);
        const removed = await ask('DELETE', '/v1/ports/' + ids.at(-1));
        if (removed.status !== 200) throw new Error(removed.text);
        // Without SO_REUSEADDR's help against a listener: it has none for two that listen.
        const server = createServer().listen(8080, '127.0.0.1');
        await once(server, 'listening');
        await once(server.close(), 'close');
      }
      console.log(JSON.stringify(ids));`;
    const command = [process.execPath, '--input-type=module', '--eval', script];
    const output = await runIn(host, [...command, driver.socketPath, JSON.stringify(SPEC)]);
    const ids = JSON.parse(output) as number[];
    expect(ids).toEqual(ids.map((_, index) => (ids[0] ?? 0) + index));
  });
});

function fdsOf({ program }: RunningDriver): number {
  return readdirSync(`/proc/${program.pid}/fd`).length;
}

/** Adds and removes that many ports at once. */
function lives(driver: RunningDriver, count: number): Promise<number[]> {
  const life = async (spec: Spec) => (await driver.remove((await driver.add(spec)).id)).status;
  const specs = Array.from({ length: count }, (_, index) => ({
    ...SPEC,
    parentPort: 21_000 + index,
  }));
  return Promise.all(specs.map(life));
}
