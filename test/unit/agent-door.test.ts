/** A real agent with a door, compiled; here we are its parent, and the next one. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { Channel, socketPair } from '../../src/msg/channel.js';
import { Fd } from '../../src/msg/fd.js';
import { encodeFrame } from '../../src/msg/frame.js';
import * as linux from '../../src/msg/linux.js';
import { openPidfd } from '../../src/msg/pidfd.js';
import { PROTOCOL_VERSION } from '../../src/msg/protocol.js';
import { listenAll } from '../../src/parent/listen.js';
import { REPOSITORY } from '../harness/paths.js';
import { freePort } from '../harness/ports.js';
import { type Program, start } from '../harness/processes.js';
import { perTest } from '../harness/suite.js';
import { rawFrame, sendRaw } from './support/socketpair.js';

const UNSHARE = ['unshare', '--user', '--map-root-user'];
const AGENT = [...UNSHARE, process.execPath, join(REPOSITORY, 'dist/programs/child/main.js')];
const FDS = ['fd=3', 'door=4', 'life=5'];
const HELLO = { type: 'hello', version: PROTOCOL_VERSION, pid: process.pid };
const DEADLINE_MS = 15_000;
/** Together with REQUESTS more than the 8 MiB that a channel queues. */
const CONNECTIONS = 200;
const REQUESTS = 300;

interface Message {
  readonly type: string;
  readonly request?: number;
  readonly total?: number;
  readonly id?: number;
}

const cleanup = perTest();
let agent: Program;
/** Of the agent's door: the end that a later parent takes. */
let door: Fd;
let parent: Channel;
let client: Socket;
let port: number;

beforeEach(async () => {
  const [ours, theirs] = socketPair();
  const [inside, outside] = socketPair(linux.SOCK_SEQPACKET);
  using life = openPidfd(process.pid);
  parent = new Channel(ours);
  door = outside;
  const extraFds = [theirs, inside, life].map(({ number }) => number);
  // It ignores SIGTERM: only its parent may end it.
  agent = await start(cleanup, [...AGENT, ...FDS], { extraFds, graceMs: 100 });
  cleanup.defer(() => [parent, door].forEach((end) => end.close()));
  theirs.close();
  inside.close();
  await next('hello');
  parent.send(HELLO);
  await publish();
  client = connect(port, '127.0.0.1');
  cleanup.defer(() => client.destroy());
  await echoed('first');
});

/** Port 1, of a server that echoes. */
async function publish(): Promise<void> {
  const server = createServer((socket) => socket.on('error', () => {}).pipe(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanup.defer(() => server.close());
  const dial = [{ ip: '127.0.0.1', port: (server.address() as AddressInfo).port }];
  port = await freePort();
  const spec = { proto: 'tcp', parentIP: '127.0.0.1', parentPort: port, childPort: 1 } as const;
  const sockets = await listenAll(spec);
  const given = {
    id: 1,
    proto: 'tcp',
    dial,
    mayHaveRule: false,
    isEngines: false,
    isShared: false,
    spec: '{}',
  };
  const fds = sockets.map(({ number }) => number);
  parent.send({ type: 'addPort', request: 1, fds: fds.length, port: given }, fds);
  await next('done');
  for (const socket of sockets) socket.close();
}

/** Over the connection that was there before anything happened to the parent. */
async function echoed(text: string): Promise<void> {
  client.write(text);
  const [answer] = (await once(client, 'data')) as [Buffer];
  expect(String(answer)).toBe(text);
}

/** The next message, which must be of that type. */
async function next(type: string): Promise<Message> {
  const message = await agent.until(
    () => {
      parent.flush();
      for (const { message: raw, fds } of parent.receive()) {
        for (const fd of fds) fd.close();
        // Told at the first connection of the port.
        if ((raw as Message).type !== 'sourceLost') return raw as Message;
      }
      return undefined;
    },
    DEADLINE_MS,
    `a message ${type}`,
  );
  expect(message.type).toBe(type);
  return message;
}

/** Comes in by the door, as a later parent does. */
async function comeIn(): Promise<void> {
  const [ours, theirs] = socketPair();
  sendRaw(door, encodeFrame({ type: 'door', fds: 1 }), [theirs.number]);
  theirs.close();
  parent.close();
  parent = new Channel(ours);
  await next('hello');
}

async function takeBack(request: number): Promise<void> {
  parent.send({ type: 'takeBack', request });
  expect(await next('port')).toMatchObject({ request, id: 1, spec: '{}', fds: 1 });
  expect(await next('done')).toMatchObject({ request });
}

describe('connections go on, and the next parent finds all ports,', () => {
  test.each([
    ['garbage', Buffer.alloc(100, 0xff), 'frame of 4294967295 bytes'],
    ['no msgpack', rawFrame('\xc1'), 'frame is not msgpack'],
    ['an unknown message', encodeFrame({ type: 'reboot' }), 'invalid message: type is "reboot"'],
    ['fds without a message', encodeFrame({ ...HELLO, fds: 3 }), 'a message announced 3 fds'],
    ['a cut frame, and then its end', encodeFrame(HELLO).subarray(0, 7), 'the other side closed'],
  ])('when the parent sends %s', async (what, bytes, reason) => {
    sendRaw(new Fd(parent.fd), bytes);
    if (what.includes('end')) parent.close();
    await agent.line(new RegExp(`^sluice agent: gives up its parent: ${reason}`), DEADLINE_MS);
    await echoed('still here');
    await comeIn();
    parent.send(HELLO);
    await takeBack(2);
    await echoed('here, too');
    expect(agent.ended).toBe(false);
  });

  test('when what comes through the door makes no sense', async () => {
    sendRaw(door, Buffer.alloc(100, 0xff));
    sendRaw(door, encodeFrame({ type: 'door', fds: 2 }), [0]);
    sendRaw(door, encodeFrame({ type: 'door', fds: 0 }));
    await agent.line(/^sluice agent: what came through the door is no parent: /, DEADLINE_MS);
    await comeIn();
    parent.send(HELLO);
    await takeBack(2);
    await echoed('still here');
    expect(agent.ended).toBe(false);
  });
});

test('a parent that reads nothing gets every answer once it reads, and connections go on meanwhile', async () => {
  const others = Array.from({ length: CONNECTIONS }, () => connect(port, '127.0.0.1'));
  cleanup.defer(() => others.forEach((socket) => socket.destroy()));
  await Promise.all(others.map((socket) => once(socket, 'connect')));
  for (const socket of others) socket.write('?');
  await Promise.all(others.map((socket) => once(socket, 'data')));
  for (let request = 1; request <= REQUESTS; request++) {
    parent.send({ type: 'flows', request, id: 1, most: 1000 });
  }
  await echoed('nobody reads');
  for (let request = 1; request <= REQUESTS; request++) {
    expect(await next('flows')).toMatchObject({ request, total: CONNECTIONS + 1 });
  }
  await echoed('all was read');
  expect(agent.stderr).toBe('');
});

test('a parent of another version is answered what is the same in all, and told nothing else', async () => {
  await comeIn();
  parent.send({ ...HELLO, version: PROTOCOL_VERSION + 1, mood: 'good' });
  parent.send({ type: 'weather', is: 'fine' });
  parent.send({ type: 'stats', request: 'all' });
  parent.send({ type: 'targets', id: [], of: 'another shape' });
  parent.send({ type: 'gift', fds: 1 }, [0]);
  parent.send([1, 2]);
  await takeBack(7);
  await echoed('still here');
  // Nobody listens there any more: what is refused would be told.
  parent.send({ type: 'drain', request: 8, limitMs: 60_000 });
  expect(await next('done')).toMatchObject({ request: 8 });
  await echoed('till the end');
  client.destroy();
  expect(await agent.exited(DEADLINE_MS)).toEqual({ code: 0, signal: null });
});
