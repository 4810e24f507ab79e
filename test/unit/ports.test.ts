import { once } from 'node:events';
import { createServer } from 'node:net';
import { beforeEach, describe, expect, test } from 'vitest';
import { messageOf, SluiceError } from '../../src/msg/errors.js';
import type { Spec } from '../../src/msg/port.js';
import { PortTable } from '../../src/parent/ports.js';
import { Protos } from '../../src/parent/protos.js';
import { until } from '../harness/wait.js';
import { freePort } from '../harness/ports.js';
import { bindAndClose, Server, serversOf } from './support/port-servers.js';

let server: Server;
let table: PortTable;
let spec: Spec;

beforeEach(async () => {
  server = new Server();
  table = new PortTable(new Protos(['tcp', 'tcp4', 'tcp6']), serversOf(server));
  spec = { proto: 'tcp', parentIP: '127.0.0.1', parentPort: await freePort(), childPort: 80 };
  return () => table.close();
});

describe('adding', () => {
  test('fifty times the same address at once succeeds once', async () => {
    const results = await Promise.allSettled(Array.from({ length: 50 }, () => table.addPort(spec)));
    const reasons = results.flatMap((result) =>
      result.status === 'rejected' ? [String(result.reason)] : [],
    );
    expect(reasons).toEqual(Array(49).fill('SluiceError: conflict with ID 1'));
    expect(await table.listPorts()).toEqual([{ id: 1, spec }]);
    expect(server.asked).toEqual(['add 1 with 1']);
  });

  test.each([
    ['the same with another childPort', { childPort: 81 }, 'conflict with ID 1'],
    ['tcp4 after tcp', { proto: 'tcp4' }, 'conflict with ID 1'],
    ['a wildcard after one address', { parentIP: '' }, 'conflict with ID 1'],
    ['tcp4 on every address', { parentIP: '0.0.0.0', proto: 'tcp4' }, 'conflict with ID 1'],
    ['tcp6 on every address', { parentIP: '::', proto: 'tcp6' }, 'added as 2'],
    ['the same address, mapped', { parentIP: '::ffff:127.0.0.1' }, 'conflict with ID 1'],
    ['another loopback address', { parentIP: '127.0.0.2' }, 'added as 2'],
    ['the loopback address of IPv6', { parentIP: '::1' }, 'added as 2'],
  ] as const)('%s', async (_, change, outcome) => {
    await table.addPort(spec);
    const second = table.addPort({ ...spec, ...change });
    expect(await second.then(({ id }) => `added as ${id}`, messageOf)).toBe(outcome);
  });

  test('what can’t be listened on leaves nothing', async () => {
    const rival = createServer().listen(spec.parentPort, '127.0.0.1');
    await once(rival, 'listening');
    await expect(table.addPort(spec)).rejects.toMatchObject({ code: 'ERR_BIND_IN_USE' });
    expect(await table.listPorts()).toEqual([]);
    expect(server.asked).toEqual([]);
    rival.close();
    await once(rival, 'close');
    await expect(table.addPort(spec)).resolves.toMatchObject({ spec });
  });

  test('what the agent refuses leaves nothing', async () => {
    server.failure = new SluiceError('ERR_AGENT', 'out of watches');
    await expect(table.addPort(spec)).rejects.toThrow('out of watches');
    expect(await table.listPorts()).toEqual([]);
    await bindAndClose(spec);
  });

  test('is listed once the agent has it, and conflicts from the start', async () => {
    const answer = server.hold();
    const added = table.addPort(spec);
    expect(await table.listPorts()).toEqual([]);
    await expect(table.addPort(spec)).rejects.toThrow('conflict with ID 1');
    await expect(table.removePort(1)).rejects.toThrow('there is no port with ID 1');
    answer();
    expect(await added).toEqual({ id: 1, spec });
    expect(await table.listPorts()).toEqual([{ id: 1, spec }]);
  });

  test('a protocol that this driver lacks says which it has', async () => {
    await expect(table.addPort({ ...spec, proto: 'udp' })).rejects.toThrow(
      'protocol udp is not supported; this driver publishes tcp, tcp4, tcp6',
    );
  });

  test.each([
    [['tcp'], ['tcp', 'sctp']],
    [['tcp', 'sctp'], ['tcp']],
  ] as const)('SCTP sockets on one side only are none: %j here, %j inside', (here, inside) => {
    const protos = new Protos(['tcp', 'sctp4'], here);
    protos.agents = inside;
    expect(protos.list).toEqual(['tcp']);
    expect(() => protos.check('sctp4')).toThrow(
      'protocol sctp4 is not supported by this kernel; load its module with `sudo modprobe sctp` and start the driver again',
    );
  });

  test('SCTP sockets on both sides are enough for its protocols', () => {
    const protos = new Protos(['tcp', 'sctp4'], ['tcp', 'sctp']);
    protos.agents = ['tcp', 'sctp'];
    expect(protos.list).toEqual(['tcp', 'sctp4']);
    protos.check('sctp4');
  });

  test('a spec that came past every check is refused, not listened on', async () => {
    const odd = { ...spec, parentPort: 0.5 };
    await expect(table.addPort(odd)).rejects.toMatchObject({ code: 'ERR_SPEC' });
  });
});

describe('removing', () => {
  test('frees the address before it resolves', async () => {
    const { id } = await table.addPort(spec);
    await table.removePort(id);
    await expect(bindAndClose(spec)).resolves.toBeUndefined();
  });

  test('frees the address even when the agent fails', async () => {
    const { id } = await table.addPort(spec);
    server.failure = new SluiceError('ERR_AGENT', 'confused');
    await expect(table.removePort(id)).rejects.toThrow('confused');
    expect(await table.listPorts()).toEqual([]);
    await bindAndClose(spec);
  });

  test('twice at once succeeds once', async () => {
    const { id } = await table.addPort(spec);
    const results = await Promise.allSettled([table.removePort(id), table.removePort(id)]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  });

  test('keeps the address taken until it is done', async () => {
    const { id } = await table.addPort(spec);
    const answer = server.hold();
    const removed = table.removePort(id);
    await expect(table.addPort(spec)).rejects.toThrow('conflict with ID 1');
    answer();
    await removed;
    await expect(table.addPort(spec)).resolves.toMatchObject({ id: 2 });
  });

  test('never gives an id to be used again', async () => {
    const ids: number[] = [];
    for (let round = 0; round < 5; round++) {
      const { id } = await table.addPort(spec);
      ids.push(id);
      await table.removePort(id);
    }
    expect(ids).toEqual([1, 2, 3, 4, 5]);
  });

  test.each([0, -1, 7, NaN])('the unknown id %d is refused', async (id) => {
    await expect(table.removePort(id)).rejects.toThrow(
      `there is no port with ID ${id}; list-ports shows them`,
    );
  });
});

describe('adopting', () => {
  test('keeps the id, and later ones are above it', async () => {
    expect(await table.adoptPort({ id: 7, spec })).toEqual({ id: 7, spec });
    await expect(table.adoptPort({ id: 7, spec })).rejects.toThrow('id 7 is in use');
    const other = { ...spec, parentIP: '127.0.0.2' };
    expect(await table.adoptPort({ id: 3, spec: other })).toEqual({ id: 3, spec: other });
    const last = { ...spec, parentIP: '127.0.0.3' };
    expect(await table.addPort(last)).toEqual({ id: 8, spec: last });
    expect((await table.listPorts()).map(({ id }) => id)).toEqual([3, 7, 8]);
  });
});

describe('handing over to another agent', () => {
  test('gives it what is open, not what is still being opened', async () => {
    await table.addPort(spec);
    const answer = server.hold();
    const opening = table.addPort({ ...spec, parentIP: '127.0.0.2' });
    const successor = new Server();
    await table.handOver(successor, 0);
    expect(successor.asked).toEqual(['add 1 with 1']);
    answer();
    await opening;
  });

  test('tells it what was found out about a port', async () => {
    const { id } = await table.addPort(spec);
    const found = { targets: [{ ip: '10.0.0.1', port: 80 }], isProxied: true, isDualStack: false };
    expect(await table.noted(id, Promise.resolve(found))).toEqual(found);
    expect(await table.noted(7, Promise.resolve(found))).toEqual(found);
    const successor = new Server();
    await table.handOver(successor, 0);
    expect([...successor.known]).toEqual([[id, found]]);
  });

  test('keeps a port from it that is being removed', async () => {
    const { id } = await table.addPort(spec);
    const answer = server.hold();
    const removed = table.removePort(id);
    const successor = new Server();
    await table.handOver(successor, 0);
    answer();
    await removed;
    expect(successor.asked).toEqual([]);
  });

  test('goes on after a port that it can’t take, tries that one again, and can remove it', async () => {
    const ids: number[] = [];
    for (const parentIP of ['127.0.0.1', '127.0.0.2']) {
      ids.push((await table.addPort({ ...spec, parentIP })).id);
    }
    const successor = new Server();
    successor.failure = new SluiceError('EMFILE', 'too many open files');
    const failures = ids.map((id) => `the agent could not take port ${id}: too many open files`);
    expect(await table.handOver(successor, 0)).toEqual(failures);
    expect(await table.handOver(successor, 0)).toEqual(failures);
    successor.failure = undefined;
    successor.asked.length = 0;
    await table.removePort(1);
    expect(await table.handOver(successor, 0)).toEqual([]);
    expect(await table.handOver(successor, 0)).toEqual([]);
    expect(successor.asked).toEqual(['add 2 with 1']);
  });
});

test('closing frees every address, of ports that are being opened or removed too', async () => {
  const specs = ['127.0.0.1', '127.0.0.2', '127.0.0.3'].map((parentIP) => ({ ...spec, parentIP }));
  const [open, closing, opening] = specs as [Spec, Spec, Spec];
  await table.addPort(open);
  const { id } = await table.addPort(closing);
  const answer = server.hold();
  const underWay = Promise.allSettled([table.removePort(id), table.addPort(opening)]);
  await until(() => server.asked.includes('add 3 with 1'), 5_000, 'the third port');
  table.close();
  for (const closed of specs) await bindAndClose(closed);
  // Who gives them to another driver still has to know them.
  expect((await table.listPorts()).map((status) => status.spec)).toEqual([open, closing]);
  server.failure = new SluiceError('ERR_AGENT_CLOSED', 'the driver is closing');
  answer();
  await underWay;
  expect((await table.listPorts()).map((status) => status.spec)).toEqual([open]);
});
