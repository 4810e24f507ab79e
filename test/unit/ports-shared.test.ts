import { beforeEach, describe, expect, test } from 'vitest';
import { SluiceError } from '../../src/msg/errors.js';
import type { Spec } from '../../src/msg/port.js';
import { PortTable } from '../../src/parent/ports.js';
import { Protos } from '../../src/parent/protos.js';
import { freePort } from '../harness/ports.js';
import { until } from '../harness/wait.js';
import { bindAndClose, Server, serversOf } from './support/port-servers.js';

const isShared = (one: Server) => [...one.ports.values()].map((port) => port.isShared);

describe('several agents', () => {
  let server: Server;
  let other: Server;
  let table: PortTable;
  let spec: Spec;

  beforeEach(async () => {
    [server, other] = [new Server(), new Server()];
    spec = { proto: 'tcp', parentIP: '127.0.0.1', parentPort: await freePort(), childPort: 80 };
    table = new PortTable(new Protos(['tcp', 'udp']), serversOf(server, other));
    return () => table.close();
  });

  test('all have the connections of a port; datagrams go to one of them, by the id', async () => {
    for (const proto of ['tcp', 'udp'] as const) {
      await table.addPort({ ...spec, proto });
      await table.addPort({ ...spec, proto, parentIP: '127.0.0.2' });
    }
    expect(server.asked).toEqual(['add 1 with 1', 'add 2 with 1', 'add 4 with 1']);
    expect(other.asked).toEqual(['add 1 with 1', 'add 2 with 1', 'add 3 with 1']);
    expect([server, other].map(isShared)).toEqual([
      [true, true, false],
      [true, true, false],
    ]);
    const successor = new Server();
    await table.handOver(successor, 1);
    expect([...successor.ports.keys()]).toEqual([1, 2, 3]);
  });

  test('a port that one of them refuses is left with none', async () => {
    other.failure = new SluiceError('EMFILE', 'too many open files');
    await expect(table.addPort(spec)).rejects.toThrow('too many open files');
    expect(server.asked).toEqual(['add 1 with 1', 'remove 1']);
    expect(server.ports.size).toBe(0);
    await bindAndClose(spec);
  });

  test('a removal resolves once all of them have closed the port', async () => {
    const { id } = await table.addPort(spec);
    const answer = other.hold();
    let isDone = false;
    const removed = table.removePort(id).then(() => (isDone = true));
    await until(() => server.ports.size === 0, 5_000, 'the first answer');
    expect(isDone).toBe(false);
    answer();
    await removed;
    expect(other.ports.size).toBe(0);
  });

  test('a port of UDP that was found stays with the agent that has its sessions', async () => {
    const { id } = await table.addPort({ ...spec, proto: 'udp' });
    const next = new PortTable(new Protos(['udp']), serversOf(server, other));
    const status = { id, spec: JSON.stringify({ ...spec, proto: 'udp' }), sockets: [] };
    next.takeBack({ ...status, slot: 0 });
    const lacking = [new Server(), new Server()];
    for (const [slot, one] of lacking.entries()) await next.handOver(one, slot);
    expect(lacking.map(({ asked }) => asked)).toEqual([['add 1 with 0'], []]);
  });
});
