import { describe, expect, test } from 'vitest';
import { SluiceError } from '../../src/msg/errors.js';
import type { Manager } from '../../src/msg/port.js';
import { assertFree, freePort, freeRange } from '../harness/ports.js';
import { perTest } from '../harness/suite.js';
import {
  HOST,
  HOST6,
  OTHER_HOST,
  TAP,
  mapperOver,
  occupy,
  request,
  specs,
  tableAndMapper,
} from './support/port-mapper.js';

const cleanup = perTest();

describe('mapping', () => {
  test('asks the port driver as dockerd does, and promises what is bound', async () => {
    const { table, mapper } = tableAndMapper(cleanup);
    const hostPort = await freePort();
    const [binding] = await mapper.mapPorts([request({ mapper: 'sluice', hostPort })]);
    expect(binding).toEqual({
      ...request({ mapper: 'sluice', hostPort }),
      childHostIP: HOST,
      nat: { ip: HOST, port: hostPort },
      forwarding: true,
      rootlesskitUnsupported: false,
      portDriverRemove: expect.any(Function) as () => Promise<void>,
    });
    expect(await specs(table)).toEqual([
      { proto: 'tcp4', parentIP: HOST, parentPort: hostPort, childPort: hostPort, childIP: HOST },
    ]);
    await expect(assertFree(hostPort)).rejects.toThrow('EADDRINUSE');
  });

  test('of nothing is nothing', async () => {
    expect(await tableAndMapper(cleanup).mapper.mapPorts([])).toEqual([]);
  });

  test('listens on both families where no host address is given', async () => {
    const { table, mapper } = tableAndMapper(cleanup);
    const hostPort = await freePort();
    const { hostIP: _, ...bare } = request({ hostPort });
    const [binding] = await mapper.mapPorts([bare]);
    expect(binding).toMatchObject({ childHostIP: HOST, hostPort });
    expect(binding).not.toHaveProperty('hostIP');
    expect(await specs(table)).toEqual([
      { proto: 'tcp', parentPort: hostPort, childPort: hostPort, childIP: HOST },
    ]);
  });

  test('gives all addresses of an ephemeral port the same one', async () => {
    const { table, mapper } = tableAndMapper(cleanup);
    const hosts = [HOST, OTHER_HOST, HOST6];
    const bindings = await mapper.mapPorts(hosts.map((hostIP) => request({ hostIP })));
    const [{ hostPort } = { hostPort: 0 }] = bindings;
    expect(hostPort).toBeGreaterThan(1023);
    expect(bindings).toMatchObject(
      hosts.map((hostIP) => ({ hostIP, hostPort, hostPortEnd: hostPort })),
    );
    expect((await specs(table)).map(({ parentPort }) => parentPort)).toEqual(
      hosts.map(() => hostPort),
    );
  });

  test('takes the first port of a range that is free on all addresses', async () => {
    const { table, mapper } = tableAndMapper(cleanup);
    const first = await freeRange(4);
    // Free on the first address that is tried, so that it has to be given back.
    await occupy(cleanup, first, HOST6);
    await occupy(cleanup, first + 1, HOST);
    const range = { hostPort: first, hostPortEnd: first + 3 };
    const reqs = [request(range), request({ ...range, hostIP: HOST6 })];
    const bindings = await mapper.mapPorts(reqs);
    expect(bindings.map(({ hostPort }) => hostPort)).toEqual([first + 2, first + 2]);
    expect((await specs(table)).map(({ parentPort }) => parentPort)).toEqual([
      first + 2,
      first + 2,
    ]);
    // What was tried on the way is free again.
    const [next] = await mapper.mapPorts([request(range)]);
    expect(next?.hostPort).toBe(first);
  });

  test('opens exact ports before the ranges that they fall into', async () => {
    const { mapper } = tableAndMapper(cleanup);
    const first = await freeRange(2);
    const bindings = await mapper.mapPorts([
      request({ hostPort: first, hostPortEnd: first + 1 }),
      request({ port: 81, hostPort: first }),
    ]);
    expect(bindings.map(({ port, hostPort }) => [port, hostPort])).toEqual([
      [80, first + 1],
      [81, first],
    ]);
  });

  test.each([
    ['another container', { ip: '172.17.0.3' }],
    ['the same one', {}],
  ])('gives every request of one address a port of its own: %s', async (_, difference) => {
    const { mapper } = tableAndMapper(cleanup);
    const first = await freeRange(2);
    const range = { hostPort: first, hostPortEnd: first + 1 };
    const bindings = await mapper.mapPorts([request(range), request({ ...range, ...difference })]);
    expect(bindings.map(({ hostPort }) => hostPort)).toEqual([first, first + 1]);
  });

  // One rule of the engine's firewall can't lead the tap's address to two of them.
  test.each([
    ['containers', { ip: '172.17.0.3' }],
    ['container ports', { port: 81 }],
  ])('gives two %s two ports where they would share a NAT rule', async (_, difference) => {
    const { table, mapper } = tableAndMapper(cleanup, TAP);
    const first = await freeRange(4);
    const range = { hostPort: first, hostPortEnd: first + 3 };
    const reqs = [request(range), request({ ...range, hostIP: OTHER_HOST, ...difference })];
    const oneCall = await mapper.mapPorts(reqs);
    expect(oneCall.map(({ hostPort }) => hostPort)).toEqual([first, first + 1]);
    await mapper.unmapPorts(oneCall);
    const calls = await Promise.all(reqs.map((req) => mapper.mapPorts([req])));
    expect(calls.flat().map(({ hostPort }) => hostPort)).toEqual([first, first + 1]);
    expect(await specs(table)).toHaveLength(2);
  });

  test('of two calls at the same time promises no port twice', async () => {
    const { table, mapper } = tableAndMapper(cleanup);
    const first = await freeRange(4);
    const range = { hostPort: first, hostPortEnd: first + 3 };
    const calls = Array.from({ length: 4 }, (_, index) =>
      mapper.mapPorts([request({ ...range, ip: `172.17.0.${index + 2}` })]),
    );
    const ports = (await Promise.all(calls)).flat().map(({ hostPort }) => hostPort);
    expect(ports.toSorted((a, b) => a - b)).toEqual([first, first + 1, first + 2, first + 3]);
    expect(await specs(table)).toHaveLength(4);
  });
});

describe('a call that fails', () => {
  test.each([
    [
      'of an exact port',
      0,
      /^cannot map 127\.0\.0\.1:\d+:127\.0\.0\.1:\d+\/tcp4: cannot listen on 127\.0\.0\.1:\d+\/tcp4: the port is in use by node/,
    ],
    [
      'of a range',
      1,
      /^found no host port that is free on 127\.0\.0\.1, asked for one of \d+-\d+; the last one tried: cannot map .* in use by node/,
    ],
  ])('leaves nothing open: %s', async (_, length, message) => {
    const { table, mapper } = tableAndMapper(cleanup);
    const first = await freeRange(4);
    await occupy(cleanup, first, HOST);
    await occupy(cleanup, first + 1, HOST);
    const taken = request({ hostPort: first, hostPortEnd: first + length });
    const reqs = [request({ hostPort: first + 2 }), taken, request({ hostPort: first + 3 })];
    await expect(mapper.mapPorts(reqs)).rejects.toThrow(message);
    expect(await table.listPorts()).toEqual([]);
    await assertFree(first + 2);
    await assertFree(first + 3);
  });

  test('does not try other ports for what another port does not mend', async () => {
    const { mapper } = tableAndMapper(cleanup);
    const call = mapper.mapPorts([request({ hostIP: '198.51.100.77' })]);
    await expect(call).rejects.toThrow(
      /^cannot map .*: 198\.51\.100\.77 is not an address of this/,
    );
  });

  test('says whose port of the child namespace it would have needed', async () => {
    const { mapper } = tableAndMapper(cleanup);
    const hostPort = await freePort();
    await mapper.mapPorts([request({ hostIP: OTHER_HOST, hostPort })]);
    const { table, mapper: second } = tableAndMapper(cleanup);
    const spec = { proto: 'tcp4', parentIP: OTHER_HOST, childPort: hostPort } as const;
    const other = await freePort();
    const { id } = await table.addPort({ ...spec, parentPort: other, childIP: `::ffff:${HOST}` });
    await expect(second.mapPorts([request({ hostPort })])).rejects.toMatchObject({
      code: 'ERR_CONFLICT',
      message: `conflict with ID ${id}: port ${hostPort} of ${HOST} in the child namespace is in use; choose another host port`,
    });
  });

  test.each([
    [
      { hostIP: 'localhost' },
      'invalid host address: "localhost", expected an IPv4 or IPv6 address',
    ],
    [{ ip: 'web' }, 'invalid container address: "web", expected an IPv4 or IPv6 address'],
    [{ port: 65536 }, 'invalid container port: 65536, expected an integer from 0 to 65535'],
    [{ hostPort: -1 }, 'invalid host port: -1, expected an integer from 0 to 65535'],
    [
      { hostPort: 9, hostPortEnd: 70_000 },
      'invalid end of the host port range: 70000, expected an integer from 0 to 65535',
    ],
    [
      { hostPort: 9, hostPortEnd: 8 },
      'invalid host port range: 9-8, expected the lower port first',
    ],
  ])('because of a bad request opens nothing: %o', async (bad, message) => {
    const { table, mapper } = tableAndMapper(cleanup);
    const call = mapper.mapPorts([request(), request(bad)]);
    await expect(call).rejects.toMatchObject({ code: 'ERR_PORT_BINDING', message });
    expect(await table.listPorts()).toEqual([]);
  });

  test('is undone when its caller gives up meanwhile', async () => {
    const { table } = tableAndMapper(cleanup);
    const caller = new AbortController();
    const manager: Manager = {
      addPort: async (spec) => {
        const status = await table.addPort(spec);
        caller.abort();
        return status;
      },
      listPorts: () => table.listPorts(),
      removePort: (id) => table.removePort(id),
    };
    const call = mapperOver(manager).mapPorts([request()], caller.signal);
    await expect(call).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    expect(await table.listPorts()).toEqual([]);
  });

  test('is undone when the driver opened a port and could not say so', async () => {
    const { table } = tableAndMapper(cleanup);
    const manager: Manager = {
      addPort: async (spec) => {
        await table.addPort(spec);
        throw new SluiceError('ERR_API_TIMEOUT', 'no answer');
      },
      listPorts: () => table.listPorts(),
      removePort: (id) => table.removePort(id),
    };
    const call = mapperOver(manager).mapPorts([request()]);
    await expect(call).rejects.toMatchObject({ code: 'ERR_API_TIMEOUT' });
    expect(await table.listPorts()).toEqual([]);
  });

  test.each([
    ['', 0, HOST],
    [', and looks no further', 1, OTHER_HOST],
  ])('tells what could not be undone%s', async (_, length, hostIP) => {
    const { table } = tableAndMapper(cleanup);
    const first = await freeRange(3);
    const second = length === 0 ? first + 1 : first;
    await occupy(cleanup, second, hostIP);
    const manager: Manager = {
      addPort: (spec) => table.addPort(spec),
      listPorts: () => table.listPorts(),
      removePort: () => Promise.reject(new SluiceError('ERR_AGENT', 'the agent is gone')),
    };
    const call = mapperOver(manager).mapPorts([
      request({ hostPort: first, hostPortEnd: first + length }),
      request({ hostPort: second, hostPortEnd: second + length, hostIP }),
    ]);
    await expect(call).rejects.toMatchObject({
      code: 'ERR_UNDO',
      message: expect.stringMatching(
        /^cannot map .*; port 1 stays open: the agent is gone$/,
      ) as string,
    });
  });
});
