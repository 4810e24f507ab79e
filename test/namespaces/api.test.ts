/** The API of a running driver, as curl, rootlessctl and clients that are no good see it. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Namespace, enter, makeClient, makeHost } from '../harness/namespaces.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { run, start } from '../harness/processes.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { type RunningDriver, answersTo, startDriver } from './driver-support.js';

const DEADLINE_MS = 15_000;
const json = (more: object) => JSON.stringify({ ...SPEC, ...more });
const SPEC = { proto: 'tcp', parentIP: '127.0.0.1', parentPort: 8080, childPort: 80 } as const;

describeWith(
  [userNamespaces, tool('ip'), tool('curl'), tool('socat')],
  'the API of a running driver',
  () => {
    const suite = perSuite();
    const test = perTest();
    let host: Namespace;
    let driver: RunningDriver;

    beforeAll(async () => {
      host = await makeHost(suite);
      await makeClient(suite, host);
      driver = await startDriver(suite, host, { endpoints: [['127.0.0.1', 80]] });
    });

    afterEach(() => driver.removeAll());

    /** The status and the body, which is followed by nothing. */
    async function curl(...args: readonly string[]): Promise<[number, string]> {
      const path = args.at(-1) ?? '';
      const command = ['curl', '-sS', '--unix-socket', driver.socketPath, '-w', '\n%{http_code}'];
      const output = await run([...command, ...args.slice(0, -1), `http://rootlesskit${path}`]);
      const cut = output.lastIndexOf('\n');
      return [Number(output.slice(cut + 1)), output.slice(0, cut)];
    }

    describe('echoes a spec', () => {
      it.each([
        '{"proto":"tcp","parentPort":8080,"childPort":80}',
        '{"proto":"tcp","parentIP":"","parentPort":8080,"childPort":80,"childIP":""}',
        '{"proto":"tcp","parentIP":"0.0.0.0","parentPort":8080,"childPort":80}',
        '{"proto":"tcp6","parentIP":"0:0:0:0:0:0:0:0","parentPort":8080,"childPort":80}',
        '{"proto":"tcp","parentIP":"FD00:1::1","parentPort":8080,"childPort":80}',
        '{"proto":"tcp4","parentIP":"127.0.0.1","parentPort":8080,"childPort":80,"childIP":"::1"}',
      ])('exactly as it was sent: %s', async (spec) => {
        const [status, body] = await curl('-d', spec, '/v1/ports');
        expect(body).toMatch(/^\{"id":\d+,/);
        expect(status).toBe(201);
        expect(body.replace(/^\{"id":\d+/, '{"id":1')).toBe(`{"id":1,"spec":${spec}}`);
        expect(await curl('/v1/ports')).toEqual([200, `[${body}]`]);
      });
    });

    describe('sees conflicts', () => {
      const loopback6 = { parentIP: '::1' };
      it.each([
        ['of the same address', {}, {}, true],
        ['of another childPort', {}, { childPort: 81 }, true],
        ['of a wildcard with an address', { parentIP: '' }, {}, true],
        ['of an address with a wildcard', {}, { parentIP: '0.0.0.0' }, true],
        ['of :: with an IPv4 address', { parentIP: '::' }, {}, true],
        ['of an IPv6 address with nothing', loopback6, { parentIP: '' }, true],
        ['of tcp with tcp4', {}, { proto: 'tcp4' }, true],
        ['of tcp6 with tcp', { proto: 'tcp6', parentIP: '' }, { parentIP: '' }, true],
        ['of two ways to write one', loopback6, { parentIP: '0:0:0:0:0:0:0:1' }, true],
        ['but not of two ports', {}, { parentPort: 8081 }, false],
        ['but not of two addresses', {}, { parentIP: '127.0.0.2' }, false],
        ['but not of two families', {}, loopback6, false],
        [
          'nor of tcp4 and tcp6',
          { proto: 'tcp4', parentIP: '' },
          { proto: 'tcp6', parentIP: '' },
          false,
        ],
        ['nor of :: as tcp6 and an IPv4 address', { proto: 'tcp6', parentIP: '::' }, {}, false],
      ] as const)('%s', async (_, first, second, conflict) => {
        const { id } = await driver.add({ ...SPEC, ...first });
        const { status, body } = await driver.post({ ...SPEC, ...second });
        const refusal = `{"message":"conflict with ID ${id}"}`;
        expect([status, body === refusal]).toEqual(conflict ? [400, true] : [201, false]);
      });
    });

    describe('refuses', () => {
      it.each([
        ['malformed JSON', ['-d', '{"proto":'], '/v1/ports', 400, /^malformed JSON: /],
        ['no JSON at all', ['-X', 'POST'], '/v1/ports', 400, /^malformed JSON: /],
        ['a list', ['-d', '[]'], '/v1/ports', 400, /^invalid spec: \[\], expected an object$/],
        [
          'port 0',
          ['-d', json({ parentPort: 0 })],
          '/v1/ports',
          400,
          /^invalid parentPort: 0, expec/,
        ],
        [
          'an address of another host',
          ['-d', json({ parentIP: '198.51.100.77' })],
          '/v1/ports',
          400,
          /^cannot listen on 198\.51\.100\.77:8080\/tcp: 198\.51\.100\.77 is not an address of this/,
        ],
        [
          'an interface that is not there',
          ['-d', json({ proto: 'tcp6', parentIP: 'fe80::1%no-such.0' })],
          '/v1/ports',
          400,
          /^there is no network interface no-such\.0; /,
        ],
        [
          'too much',
          ['-d', `"${'x'.repeat(70_000)}"`],
          '/v1/ports',
          413,
          /^the request body is over/,
        ],
        [
          'too much in chunks',
          ['-H', 'Transfer-Encoding: chunked', '-d', `"${'x'.repeat(70_000)}"`],
          '/v1/ports',
          413,
          /^the request body is over/,
        ],
        ['an unknown path', [], '/v2/ports', 404, /^unknown path \/v2\/ports, the API serves /],
        ['an unknown method', ['-X', 'PUT'], '/v1/ports', 405, /^method PUT is not allowed on /],
        [
          'an id that was never given',
          ['-X', 'DELETE'],
          '/v1/ports/999999',
          400,
          /^there is no port /,
        ],
        [
          'an id that is no number',
          ['-X', 'DELETE'],
          '/v1/ports/x',
          400,
          /^bad id x, expected an inte/,
        ],
      ] as const)('%s', async (_, args, path, status, message) => {
        const [seen, body] = await curl(...args, path);
        expect(seen).toBe(status);
        const answer = JSON.parse(body) as { message: string };
        expect(Object.keys(answer)).toEqual(['message']);
        expect(answer.message).toMatch(message);
        expect(await driver.list()).toEqual([]);
      });

      it('a port that another process has, and names it', async () => {
        const rival = await start(
          test,
          enter(host, 'socat', '-dd', 'TCP4-LISTEN:8080,bind=127.0.0.1', 'STDOUT'),
        );
        await rival.line(/listening on/, DEADLINE_MS);
        const { status, body } = await driver.post(SPEC);
        expect(status).toBe(400);
        expect(JSON.parse(body)).toEqual({
          message:
            'cannot listen on 127.0.0.1:8080/tcp: the port is in use by ' +
            `socat (pid ${rival.pid}); stop it or choose another port`,
        });
      });
    });

    describe('survives a client', () => {
      const body = JSON.stringify(SPEC);
      const head = `POST /v1/ports HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`;

      it.each([
        ['in the middle of the headers', head.slice(0, 30)],
        ['in the middle of the body', head + body.slice(0, 10)],
      ])('that disconnects %s, and adds nothing', async (_, text) => {
        const client = connect(driver.socketPath);
        await once(client, 'connect');
        await new Promise((resolve) => client.write(text, resolve));
        client.destroy();
        expect(await driver.list()).toEqual([]);
        expect(await driver.post(SPEC)).toMatchObject({ status: 201 });
      });

      it('that disconnects before its answer: the port is as it was asked for', async () => {
        const client = connect(driver.socketPath);
        await once(client, 'connect');
        await new Promise((resolve) => client.write(head + body, resolve));
        client.destroy();
        await until(async () => (await driver.list()).length === 1, DEADLINE_MS, 'the port');
        expect(await answersTo(host, [['127.0.0.1', 8080]])).toEqual(['127.0.0.1 80']);
      });
    });

    it('keeps a connection, through refusals too', async () => {
      const client = connect(driver.socketPath).setEncoding('utf8');
      let text = '';
      client.on('data', (chunk: string) => (text += chunk));
      const answered = (count: number) => text.split('HTTP/1.1 ').length - 1 === count;
      for (const [index, path] of ['/v1/ports', '/v1/nothing', '/v1/info'].entries()) {
        client.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
        await until(() => answered(index + 1), DEADLINE_MS, `the answer for ${path}`);
      }
      expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual([
        'HTTP/1.1 200',
        'HTTP/1.1 404',
        'HTTP/1.1 200',
      ]);
      expect(client.readyState).toBe('open');
      client.destroy();
    });
  },
);
