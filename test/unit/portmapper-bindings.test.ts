import { describe, expect, test } from 'vitest';
import { childPortBinding, PROTOCOL } from '../../src/parent/portmapper/contract.js';
import { assertFree, freePort } from '../harness/ports.js';
import { perTest } from '../harness/suite.js';
import {
  HOST,
  HOST6,
  OTHER_HOST,
  TAP,
  mapperOver,
  request,
  specs,
  tableAndMapper,
} from './support/port-mapper.js';

const cleanup = perTest();

describe('what the port driver can not serve', () => {
  test('is left out, with its reason and the host port of the others', async () => {
    const { table, mapper } = tableAndMapper(cleanup, TAP);
    const bindings = await mapper.mapPorts([request({ hostIP: HOST6 }), request()]);
    const { hostPort } = bindings[1] ?? {};
    expect(bindings[0]).toEqual({
      ...request({ hostIP: HOST6 }),
      hostPort,
      hostPortEnd: hostPort,
      forwarding: false,
      rootlesskitUnsupported: true,
      reason: 'protocol tcp6 is not supported by port driver sluice, which publishes tcp, tcp4',
    });
    expect(bindings[1]).toMatchObject({
      childHostIP: '10.0.2.100',
      nat: { ip: '10.0.2.100', port: hostPort },
      rootlesskitUnsupported: false,
    });
    expect(await specs(table)).toHaveLength(1);
    await mapper.unmapPorts(bindings);
    expect(await table.listPorts()).toEqual([]);
  });

  test.each([
    [PROTOCOL.sctp, 'sctp4'],
    [33, 'number 33'],
  ])('is left out alone: protocol %i', async (proto, name) => {
    const [binding] = await tableAndMapper(cleanup).mapper.mapPorts([
      request({ proto, hostPort: 99 }),
    ]);
    expect(binding).toMatchObject({
      proto,
      hostPort: 99,
      rootlesskitUnsupported: true,
      reason: `protocol ${name} is not supported by port driver sluice, which publishes tcp, tcp4, tcp6`,
    });
    expect(binding).not.toHaveProperty('nat');
    expect(binding).not.toHaveProperty('childHostIP');
  });

  test.each([
    [{ driver: 'none' }, 'ERR_NO_PORT_DRIVER'],
    [{ driver: 'implicit' }, 'ERR_NO_PORT_DRIVER'],
    [{ disallowLoopbackChildIP: true }, 'ERR_NO_CHILD_IP'],
  ])('is everything for %o', async (portDriver, code) => {
    const { mapper } = tableAndMapper(cleanup, { portDriver });
    await expect(mapper.mapPorts([request()])).rejects.toMatchObject({ code });
  });
});

describe('ChildHostIP', () => {
  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['127.0.0.2', '127.0.0.2'],
    ['::ffff:127.0.0.2', '127.0.0.2'],
    ['::1', '::1'],
    ['0.0.0.0', '127.0.0.1'],
    ['::', '::1'],
  ])('of %s is %s', async (hostIP, childHostIP) => {
    const [binding] = await tableAndMapper(cleanup).mapper.mapPorts([request({ hostIP })]);
    expect(binding).toMatchObject({ hostIP, childHostIP });
  });

  test('takes the place of the host address in childPortBinding', async () => {
    const [binding] = await tableAndMapper(cleanup).mapper.mapPorts([
      request({ hostIP: '0.0.0.0' }),
    ]);
    if (binding === undefined) throw new Error('not mapped');
    const { hostPort, hostPortEnd } = binding;
    expect(childPortBinding(binding)).toEqual(request({ hostPort, hostPortEnd }));
    const { childHostIP: _, ...unsupported } = binding;
    expect(childPortBinding(unsupported)).not.toHaveProperty('hostIP');
  });
});

describe('unmapping', () => {
  test('frees every port', async () => {
    const { table, mapper } = tableAndMapper(cleanup);
    const bindings = await mapper.mapPorts([request(), request({ port: 81, hostIP: OTHER_HOST })]);
    await mapper.unmapPorts(bindings);
    expect(await table.listPorts()).toEqual([]);
    for (const { hostPort } of bindings) await assertFree(hostPort);
  });

  test('finds ports of an earlier mapper by what they are, and those only', async () => {
    const { table, mapper } = tableAndMapper(cleanup);
    const hostPort = await freePort();
    const reqs = [
      request({ hostPort, hostIP: OTHER_HOST }),
      request({ hostPort, hostIP: `::ffff:${HOST}` }),
    ];
    const [first, second] = await mapper.mapPorts(reqs);
    const { portDriverRemove: _, ...rest } = second ?? {
      ...request(),
      forwarding: true,
      rootlesskitUnsupported: false,
    };
    await mapperOver(table).unmapPorts([rest]);
    expect(await specs(table)).toMatchObject([{ parentIP: first?.hostIP }]);
  });

  test('releases all, and reports every failure', async () => {
    const { table, mapper } = tableAndMapper(cleanup);
    const bindings = await mapper.mapPorts([1, 2, 3].map((port) => request({ port })));
    const [one, two, three] = bindings;
    if (!one || !two || !three) throw new Error('not mapped');
    await mapper.unmapPorts([one]);
    const { portDriverRemove: _, ...listed } = three;
    const strange = [
      { ...listed, hostIP: OTHER_HOST },
      { ...listed, proto: PROTOCOL.udp },
      { ...listed, proto: 33 },
    ];
    const call = mapper.unmapPorts([one, ...strange, two, three]);
    await expect(call).rejects.toMatchObject({
      code: 'ERR_UNMAP',
      message: [
        'there is no port with ID 1; list-ports shows them',
        `port ${three.hostPort} of host address ${OTHER_HOST}, protocol tcp4, is not mapped`,
        `port ${three.hostPort} of host address ${HOST}, protocol udp4, is not mapped`,
        `port ${three.hostPort} of host address ${HOST}, protocol 33, is not mapped`,
      ].join('; '),
    });
    expect(await table.listPorts()).toEqual([]);
  });
});
