/**
 * What each caller of the REST API sends, byte for byte as Go's HTTP client writes it, on connections
 * that it keeps: RootlessKit's client library, which dockerd, nerdctl and k3s embed.
 */
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { beforeAll, expect, it } from 'vitest';
import { type Namespace, makeHost } from '../harness/namespaces.js';
import { userNamespaces } from '../harness/needs.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import type { Info } from '../../src/parent/api/info.js';
import type { Status } from '../../src/msg/port.js';
import { type RunningDriver, answersTo, startDriver } from './driver-support.js';

const DEADLINE_MS = 15_000;
const [PORT, OTHER_PORT] = [8080, 8443];

const AGENT = 'Host: rootlesskit\r\nUser-Agent: Go-http-client/1.1\r\n';
const ENCODING = 'Accept-Encoding: gzip\r\n\r\n';

/** A client that keeps its connection. */
class GoClient {
  readonly #socket: Socket;
  #received = '';

  constructor(socket: Socket) {
    this.#socket = socket.setEncoding('utf8').on('data', (text: string) => {
      this.#received += text;
    });
  }

  static async connect(path: string): Promise<GoClient> {
    const socket = connect(path);
    await once(socket, 'connect');
    return new GoClient(socket);
  }

  get<Body>(path: string): Promise<Body> {
    return this.#ask(`GET ${path} HTTP/1.1\r\n${AGENT}${ENCODING}`, 200);
  }

  /** `body` is sent as it is: its order of keys is that of the caller. */
  add(body: string): Promise<Status> {
    const length = `Content-Length: ${body.length}\r\nContent-Type: application/json\r\n`;
    return this.#ask(`POST /v1/ports HTTP/1.1\r\n${AGENT}${length}${ENCODING}${body}`, 201);
  }

  async remove(id: number): Promise<void> {
    await this.#ask(`DELETE /v1/ports/${id} HTTP/1.1\r\n${AGENT}${ENCODING}`, 200);
  }

  close(): void {
    this.#socket.destroy();
  }

  async #ask<Body>(request: string, status: number): Promise<Body> {
    this.#received = '';
    this.#socket.write(request);
    const [head = '', body = ''] = await until(() => this.#answer(), DEADLINE_MS, 'an answer');
    if (!head.startsWith(`HTTP/1.1 ${status} `)) throw new Error(`${head}\n${body}`);
    return (body === '' ? undefined : JSON.parse(body)) as Body;
  }

  #answer(): string[] | undefined {
    const parts = this.#received.split('\r\n\r\n');
    const length = /^content-length: (\d+)\r?$/im.exec(parts[0] ?? '')?.[1];
    return parts[1]?.length === Number(length) ? parts : undefined;
  }
}

describeWith([userNamespaces], 'the API, asked as', () => {
  const suite = perSuite();
  const test = perTest();
  let host: Namespace;
  let driver: RunningDriver;

  beforeAll(async () => {
    host = await makeHost(suite);
    const ports = [PORT, OTHER_PORT, 80, 443];
    const endpoints = ports.flatMap((port) => [
      ['127.0.0.1', port] as const,
      ['::1', port] as const,
    ]);
    driver = await startDriver(suite, host, { endpoints });
  });

  async function client(): Promise<GoClient> {
    const one = await GoClient.connect(driver.socketPath);
    test.defer(() => one.close());
    return one;
  }

  it('by dockerd: information once, and two suffixed protocols for a port', async () => {
    const dockerd = await client();
    const { portDriver } = await dockerd.get<Info>('/v1/info');
    expect(portDriver?.protos).toEqual(expect.arrayContaining(['tcp4', 'tcp6']));
    expect(portDriver).not.toHaveProperty('disallowLoopbackChildIP');

    const specs = [
      `{"proto":"tcp4","parentIP":"0.0.0.0","parentPort":${PORT},"childPort":${PORT},"childIP":"127.0.0.1"}`,
      `{"proto":"tcp6","parentIP":"::","parentPort":${PORT},"childPort":${PORT},"childIP":"::1"}`,
    ];
    const ids: number[] = [];
    for (const spec of specs) ids.push((await dockerd.add(spec)).id);
    expect(
      await answersTo(host, [
        ['127.0.0.1', PORT],
        ['::1', PORT],
      ]),
    ).toEqual([`127.0.0.1 ${PORT}`, `::1 ${PORT}`]);
    // It keeps the ids of what it added, and publishes again at once when a container restarts.
    for (const id of ids) await dockerd.remove(id);
    for (const spec of specs) ids.push((await dockerd.add(spec)).id);
    for (const id of ids.slice(2)) await dockerd.remove(id);
    expect(await driver.list()).toEqual([]);
  });

  it('by nerdctl: a bare protocol without childIP, and removal of what the list has like it', async () => {
    const nerdctl = await client();
    const { networkDriver, portDriver } = await nerdctl.get<Info>('/v1/info');
    // It reads through both of them without a look.
    expect([typeof networkDriver, typeof portDriver]).toEqual(['object', 'object']);
    const ports = [PORT, OTHER_PORT].map((port) => ({
      proto: 'tcp',
      parentIP: '0.0.0.0',
      parentPort: port,
      childPort: port,
    }));
    for (const spec of ports) await nerdctl.add(JSON.stringify(spec));
    expect(
      await answersTo(host, [
        ['127.0.0.1', PORT],
        ['::1', OTHER_PORT],
      ]),
    ).toEqual([`127.0.0.1 ${PORT}`, `127.0.0.1 ${OTHER_PORT}`]);
    // Each hook of the container's end is a process of its own.
    for (const spec of ports) {
      const hook = await client();
      const found = (await hook.get<Status[]>('/v1/ports')).filter(
        ({ spec: { proto, parentIP, parentPort, childPort } }) =>
          proto === spec.proto &&
          parentIP === spec.parentIP &&
          parentPort === spec.parentPort &&
          childPort === spec.childPort,
      );
      expect(found).toHaveLength(1);
      await hook.remove(found[0]?.id ?? 0);
    }
    expect(await driver.list()).toEqual([]);
  });

  it('by k3s: protocol and ports alone, kept in step with its services', async () => {
    const k3s = await client();
    // Privileged ports of services are bound 10000 higher.
    const wanted = new Map([
      [10080, 80],
      [10443, 443],
    ]);
    const reconcile = async () => {
      const bound = new Map<number, number>();
      for (const { id, spec } of await k3s.get<Status[]>('/v1/ports'))
        bound.set(spec.parentPort, id);
      for (const [parentPort, childPort] of wanted) {
        if (bound.has(parentPort)) continue;
        const spec = `{"proto":"tcp","parentPort":${parentPort},"childPort":${childPort}}`;
        expect(JSON.stringify((await k3s.add(spec)).spec)).toBe(spec);
      }
      for (const [parentPort, id] of bound) if (!wanted.has(parentPort)) await k3s.remove(id);
    };
    await reconcile();
    await reconcile();
    expect(await driver.list()).toHaveLength(2);
    expect(
      await answersTo(host, [
        ['127.0.0.1', 10080],
        ['::1', 10443],
      ]),
    ).toEqual(['127.0.0.1 80', '127.0.0.1 443']);
    wanted.delete(10443);
    await reconcile();
    expect((await driver.list()).map(({ spec }) => spec.parentPort)).toEqual([10080]);
    wanted.clear();
    await reconcile();
    expect(await driver.list()).toEqual([]);
  });
});
