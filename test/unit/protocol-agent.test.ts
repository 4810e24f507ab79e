/** A real agent, compiled, at the other end of a socketpair; here we are its parent. */
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { Channel, socketPair } from '../../src/msg/channel.js';
import { Fd } from '../../src/msg/fd.js';
import { encodeFrame } from '../../src/msg/frame.js';
import { PROTOCOL_VERSION } from '../../src/msg/protocol.js';
import { listenAll } from '../../src/parent/listen.js';
import { REPOSITORY } from '../harness/paths.js';
import { type Program, start } from '../harness/processes.js';
import { perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { freePort } from '../harness/ports.js';
import { pendingBytes, rawFrame, sendRaw } from './support/socketpair.js';

// In a user namespace, whose maker may look into it.
const UNSHARE = ['unshare', '--user', '--map-root-user'];
const AGENT = [...UNSHARE, process.execPath, join(REPOSITORY, 'dist/programs/child/main.js')];
const HELLO = { type: 'hello', version: PROTOCOL_VERSION, pid: process.pid };
const PORT = {
  id: 1,
  proto: 'tcp',
  dial: [{ ip: '127.0.0.1', port: 1 }],
  mayHaveRule: false,
  isEngines: false,
  isShared: false,
  spec: '{}',
};
const DEADLINE_MS = 15_000;
/** More than fit into a socket: with net.core.wmem_default that is 278 messages this small. */
const MANY = 400;

const cleanup = perTest();
let agent: Program;
let channel: Channel;
let socket: Fd;

beforeEach(async () => {
  const [ours, theirs] = socketPair();
  channel = new Channel(ours);
  socket = new Fd(channel.fd);
  cleanup.defer(() => channel.close());
  agent = await start(cleanup, AGENT, { extraFds: [theirs.number] });
  theirs.close();
  await received('hello');
});

/** The next message of that type. */
async function received(type: string): Promise<object> {
  const found = () =>
    [...channel.receive()]
      .map(({ message }) => message as { type: string })
      .find((message) => message.type === type);
  return agent.until(found, DEADLINE_MS, `a message ${type}`);
}

const agentFds = () => readdirSync(`/proc/${agent.pid}/fd`).length;

/** How it ended, and what it said. */
async function ended(): Promise<object> {
  const { code, signal } = await agent.exited(DEADLINE_MS);
  return { code, signal, stdout: agent.stdout, stderr: agent.stderr };
}

const FAILED = { code: 1, signal: null, stdout: '' };
const DONE = { code: 0, signal: null, stdout: '', stderr: '' };

describe('an agent ends with exit code 1 and one line that says why:', () => {
  test.each([
    ['garbage', Buffer.alloc(100, 0xff), /^frame of 4294967295 bytes; expected 1 to 1048576$/],
    ['another protocol', Buffer.from('GET / HTTP/1.1\r\n\r\n'), /^frame of 542393671 bytes; .+$/],
    ['no bytes', rawFrame(''), /^frame of 0 bytes; expected 1 to 1048576$/],
    ['no msgpack', rawFrame('\xc1'), /^frame is not msgpack: .+$/],
    ['no map', rawFrame('\x2a'), /^invalid message: message is 42, expected a map$/],
    [
      'an unknown message',
      encodeFrame({ type: 'reboot' }),
      /^invalid message: type is "reboot", expected a message type of this protocol version$/,
    ],
    [
      'a field out of range',
      encodeFrame({ type: 'removePort', request: 1, id: -1 }),
      /^invalid message: id is -1, expected an integer from 1 to 9007199254740991$/,
    ],
    [
      'a request before hello',
      encodeFrame({ type: 'stats', request: 1 }),
      /^stats came before hello$/,
    ],
  ])('%s', async (_, bytes, reason) => {
    sendRaw(socket, bytes);
    expect(await ended()).toMatchObject(FAILED);
    expect(agent.stderr).toMatch(new RegExp(`^sluice agent: ${reason.source.slice(1, -1)}\n$`));
  });

  test.each([
    ['fds that no message announces', 2, {}, '2 fds came without a message'],
    ['fewer fds than announced', 1, { fds: 2 }, 'a message announced 2 fds, 1 came with it'],
    ['more fds than a message can have', 17, { fds: 17 }, 'more than 16 fds came with one message'],
  ])('%s', async (_, count, fields, reason) => {
    sendRaw(socket, encodeFrame({ ...HELLO, ...fields }), Array<number>(count).fill(0));
    expect(await ended()).toEqual({ ...FAILED, stderr: `sluice agent: ${reason}\n` });
  });

  test('a frame cut by the end of its parent', async () => {
    sendRaw(socket, encodeFrame(HELLO).subarray(0, 7));
    channel.close();
    const stderr = 'sluice agent: the other side closed the channel inside a frame\n';
    expect(await ended()).toEqual({ ...FAILED, stderr });
  });
});

describe('an agent ends with exit code 0 and without a word', () => {
  test('when its parent hangs up', async () => {
    channel.close();
    expect(await ended()).toEqual(DONE);
  });

  test('when its parent hangs up after requests whose answers it does not read', async () => {
    process.kill(agent.pid, 'SIGSTOP');
    channel.send(HELLO);
    for (let request = 1; request <= 100; request++) channel.send({ type: 'stats', request });
    channel.close();
    process.kill(agent.pid, 'SIGCONT');
    expect(await ended()).toEqual(DONE);
  });

  test('when its parent hangs up with answers unread in its buffer', async () => {
    channel.send(HELLO);
    for (let request = 1; request <= 100; request++) channel.send({ type: 'stats', request });
    await until(() => pendingBytes(socket) > 0, DEADLINE_MS, 'an answer');
    channel.close();
    expect(await ended()).toEqual(DONE);
  });
});

describe('an agent refuses, closes what came, and goes on:', () => {
  test.each([
    ['a socket that is not listening', {}, [0], 'the socket given for port 1 is not listening'],
    ['one for SCTP', { proto: 'sctp' }, [0], 'the socket given for port 1 is not listening'],
  ])('%s', async (_, fields, fds, message) => {
    channel.send(HELLO);
    const refusal = async (request: number) => {
      channel.send({ type: 'addPort', request, fds: 1, port: { ...PORT, ...fields } }, fds);
      expect(await received('failed')).toMatchObject({ request, message });
      return agentFds();
    };
    // The first one opens what the agent keeps in reserve.
    const before = await refusal(7);
    expect(await refusal(8)).toBe(before);
    expect(await stats()).toMatchObject({ stats: { ports: 0 } });
  });

  test('a port that it has, the listener that came too', async () => {
    channel.send(HELLO);
    const sockets = await listenAll({
      proto: 'tcp',
      parentIP: '127.0.0.1',
      parentPort: await freePort(),
      childPort: 1,
    });
    const fds = sockets.map(({ number }) => number);
    channel.send({ type: 'addPort', request: 1, fds: 1, port: PORT }, fds);
    await received('done');
    const before = agentFds();
    channel.send({ type: 'addPort', request: 2, fds: 1, port: PORT }, fds);
    expect(await received('failed')).toMatchObject({ message: 'port 1 exists already' });
    expect(agentFds()).toBe(before);
    channel.send({ type: 'removePort', request: 3, id: 1 });
    await received('done');
    expect(agentFds()).toBe(before - 1);
    for (const listener of sockets) listener.close();
  });

  test('a port that it has not', async () => {
    channel.send(HELLO);
    channel.send({ type: 'removePort', request: 1, id: 9 });
    expect(await received('failed')).toMatchObject({ request: 1, message: 'there is no port 9' });
    expect(await stats()).toMatchObject({ stats: { ports: 0 } });
  });

  test('fds with a message that needs none', async () => {
    const before = agentFds();
    sendRaw(socket, encodeFrame({ ...HELLO, fds: 3 }), [0, 0, 0]);
    expect(await stats()).toMatchObject({ stats: { ports: 0 } });
    expect(agentFds()).toBe(before);
  });

  test('hello once more', async () => {
    for (let count = 0; count < 3; count++) channel.send(HELLO);
    expect(await stats()).toMatchObject({ stats: { ports: 0 } });
  });
});

test('questions that a busy parent left in the buffer until that was full arrive after all', async () => {
  channel.send(HELLO);
  const port = { ...PORT, mayHaveRule: true };
  const ports: number[] = [];
  const listeners: Fd[] = [];
  for (let id = 1; id <= MANY; id++) {
    const spec = { proto: 'tcp', parentIP: '127.0.0.1', parentPort: await freePort() } as const;
    const sockets = await listenAll({ ...spec, childPort: 1 });
    const fds = sockets.map(({ number }) => number);
    channel.send({ type: 'addPort', request: id, fds: 1, port: { ...port, id } }, fds);
    ports.push(spec.parentPort);
    listeners.push(...sockets);
  }
  await messages('done', MANY);
  for (const listener of listeners) listener.close();
  // Each client's flow asks, has no answer, and is refused by the port's own address.
  await Promise.all(ports.map(refused));
  expect(await messages('resolve', MANY)).toBe(MANY);
});

/** Reads until `wanted` of that type have come; how many did. */
async function messages(type: string, wanted: number): Promise<number> {
  let count = 0;
  const arrived = () => {
    channel.flush();
    for (const { message } of channel.receive()) {
      if ((message as { type: string }).type === type) count++;
    }
    return count >= wanted;
  };
  await agent.until(arrived, DEADLINE_MS, `${wanted} messages ${type}`);
  return count;
}

function refused(port: number): Promise<void> {
  return new Promise((resolve) => {
    const client = connect(port, '127.0.0.1');
    client.on('error', () => {}).on('close', () => resolve());
  });
}

async function stats(): Promise<object> {
  channel.send({ type: 'stats', request: 99 });
  return received('stats');
}
