import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import type { Fd } from '../../src/msg/fd.js';
import * as libc from '../../src/msg/libc.js';
import * as linux from '../../src/msg/linux.js';
import type { Proto, Spec } from '../../src/msg/port.js';
import { SOCKADDR_IN6_BYTES, decodeSockAddr } from '../../src/msg/sockaddr.js';
import { type HostAddress, hostAddresses, listenAll, overlaps } from '../../src/parent/listen.js';
import { freePort } from '../harness/ports.js';
import { openFds } from './support/socketpair.js';

const ROWS: readonly (readonly [Proto, string | undefined, string[]])[] = [
  ['tcp', undefined, ['0.0.0.0', ':: if there is IPv6']],
  ['tcp', '', ['0.0.0.0', ':: if there is IPv6']],
  ['tcp', '0.0.0.0', ['0.0.0.0', ':: if there is IPv6']],
  ['tcp', '::', ['0.0.0.0', '::']],
  ['tcp', '0:0:0:0:0:0:0:0', ['0.0.0.0', '::']],
  ['tcp4', undefined, ['0.0.0.0']],
  ['tcp4', '0.0.0.0', ['0.0.0.0']],
  ['tcp6', undefined, ['::']],
  ['tcp6', '::', ['::']],
  ['tcp', '198.51.100.1', ['198.51.100.1']],
  ['tcp4', '127.0.0.2', ['127.0.0.2']],
  ['tcp4', '::ffff:127.0.0.2', ['127.0.0.2']],
  ['tcp', '::ffff:0.0.0.0', ['0.0.0.0', ':: if there is IPv6']],
  ['tcp', 'fd00:1::1', ['fd00:1::1']],
  ['tcp6', 'fe80::1%eth0', ['fe80::1%eth0']],
];

test.each(ROWS)('%s on %j listens on %j', (proto, parentIP, expected) => {
  const spec = {
    proto,
    parentPort: 8080,
    childPort: 80,
    ...(parentIP !== undefined && { parentIP }),
  };
  const names = hostAddresses(spec).map(
    ({ ip, isOptional }) => `${ip}${isOptional ? ' if there is IPv6' : ''}`,
  );
  expect(names).toEqual(expected);
  expect(hostAddresses(spec).every(({ port }) => port === 8080)).toBe(true);
});

test.each([
  ['0.0.0.0', '127.0.0.1', true],
  ['0.0.0.0', '::', false],
  ['::', '127.0.0.1', false],
  ['::', 'fd00:1::1', true],
  ['127.0.0.1', '127.0.0.2', false],
  ['fd00:1::1', 'fd00:1:0:0::1', true],
  ['fe80::1%eth0', 'fe80::1%eth1', false],
  ['fe80::1%eth0', 'fe80::1%eth0', true],
  ['fe80::1%eth0', '::', true],
])('%s and %s share a port: conflict %j', (one, other, conflict) => {
  expect(overlaps(at(one), at(other))).toBe(conflict);
  expect(overlaps(at(other), at(one))).toBe(conflict);
  expect(overlaps(at(one), at(other, 8081))).toBe(false);
});

test.each(['127.0.0.1', '::1'])('a socket on %s takes connections at once', async (parentIP) => {
  const [socket] = (await listenAll(await freeSpec(parentIP))) as [Fd];
  const client = connect(portOf(socket), parentIP);
  await expect(once(client, 'connect')).resolves.toEqual([]);
  client.destroy();
  socket.close();
});

test('connections inherit what a forwarded one needs', async () => {
  const [socket] = (await listenAll(await freeSpec('127.0.0.1'))) as [Fd];
  const client = connect(portOf(socket), '127.0.0.1');
  await once(client, 'connect');
  const accepted = libc.accept4(socket.number, 0, 0, linux.SOCK_CLOEXEC);
  expect(option(accepted, linux.IPPROTO_TCP, linux.TCP_NODELAY)).toBe(1);
  expect(option(accepted, linux.SOL_SOCKET, linux.SO_OOBINLINE)).toBe(1);
  expect(option(accepted, linux.SOL_SOCKET, linux.SO_KEEPALIVE)).toBe(1);
  libc.close(accepted);
  client.destroy();
  socket.close();
});

test('an address in use is refused with its holder, and no fd is left', async () => {
  const spec = await freeSpec('127.0.0.1');
  const sockets = await listenAll(spec);
  const before = openFds();
  await expect(listenAll(spec)).rejects.toMatchObject({
    code: 'ERR_BIND_IN_USE',
    message: expect.stringContaining(`(pid ${process.pid})`) as string,
  });
  expect(openFds()).toBe(before);
  for (const socket of sockets) socket.close();
});

test.each([
  ['fe80::1%nowhere0', 'there is no network interface nowhere0; '],
  [
    'fe80::1%an-interface-of-a-long-name',
    'there is no network interface an-interface-of-a-long-name',
  ],
  ['198.51.100.77', 'cannot listen on 198.51.100.77:1/tcp: '],
])('%s, which is not there, is refused and no fd is left', async (parentIP, text) => {
  const before = openFds();
  await expect(listenAll({ proto: 'tcp', parentIP, parentPort: 1, childPort: 80 })).rejects.toThrow(
    text,
  );
  expect(openFds()).toBe(before);
});

const memory = libc.allocate(4096);

function at(ip: string, port = 8080): HostAddress {
  return { ip, port, isOptional: false };
}

function portOf(socket: Fd): number {
  memory.view.setUint32(64, SOCKADDR_IN6_BYTES, true);
  libc.getsockname(socket.number, memory.address, memory.address + 64);
  return decodeSockAddr(memory.view).port;
}

function option(fd: number, level: number, name: number): number {
  memory.view.setUint32(8, 4, true);
  libc.getsockopt(fd, level, name, memory.address, memory.address + 8);
  return memory.view.getInt32(0, true);
}

async function freeSpec(parentIP: string): Promise<Spec> {
  return { proto: 'tcp', parentIP, parentPort: await freePort(), childPort: 80 };
}
