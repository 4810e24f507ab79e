import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Bus } from '../../src/parent/bus/bus.js';
import { watch } from '../../src/parent/bus/watch.js';
import { temporaryFolder } from '../harness/cleanup.js';
import { perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 15_000;
const cleanup = perTest();

interface Message {
  readonly type: string;
  readonly data: { readonly number?: number; readonly messages?: number };
}

async function openBus(): Promise<{ bus: Bus; folder: string; path: string }> {
  const folder = temporaryFolder(cleanup);
  const bus = new Bus(folder);
  cleanup.defer(() => bus.close());
  return { bus, folder, path: await bus.open('events') };
}

/** A viewer, as it is on the wire: what it has read, message by message. */
class RawViewer {
  readonly socket: Socket;
  #text = '';

  constructor(path: string) {
    this.socket = connect(path);
    this.socket.on('error', () => {});
    cleanup.defer(() => this.socket.destroy());
  }

  read(): void {
    this.socket.setEncoding('utf8').on('data', (text: string) => (this.#text += text));
  }

  get messages(): Message[] {
    const parts = this.#text.split('\f').slice(0, -1);
    return parts.map((part) => JSON.parse(part) as Message);
  }
}

/** Publishes until the viewer has got something: from then on it is one. */
async function joined(bus: Bus, viewer: RawViewer): Promise<void> {
  await until(
    () => {
      bus.publish('events', {});
      return viewer.messages.length > 0;
    },
    DEADLINE_MS,
    'a first message',
  );
}

it('there is no socket before somebody asks for it, and then one that is the user’s alone', async () => {
  const folder = temporaryFolder(cleanup);
  const bus = new Bus(folder);
  expect(readdirSync(folder)).toEqual([]);
  const path = await bus.open('events');
  expect(path).toBe(join(folder, 'events.sock'));
  expect(await bus.open('events')).toBe(path);
  expect(readdirSync(folder)).toEqual(['events.sock']);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  await bus.close();
  expect(readdirSync(folder)).toEqual([]);
});

it('a viewer gets what is published from then on, and hears of the end', async () => {
  const { bus, path } = await openBus();
  const seen: unknown[] = [];
  const watching = watch(path, {
    onWatching: () => {},
    onMessage: (message) => seen.push(message),
    onMissed: () => {},
  });
  await until(
    () => {
      bus.publish('events', { number: 1 });
      return seen.length > 0;
    },
    DEADLINE_MS,
    'a message',
  );
  bus.publish('events', { number: 2, text: 'a\fb "quoted"' });
  await bus.close();
  await watching;
  expect(seen[0]).toEqual({ number: 1 });
  expect(seen.at(-1)).toEqual({ number: 2, text: 'a\fb "quoted"' });
});

it('a socket that nobody publishes on is an error', async () => {
  const path = join(temporaryFolder(cleanup), 'events.sock');
  const viewer = { onWatching() {}, onMessage() {}, onMissed() {} };
  await expect(watch(path, viewer)).rejects.toMatchObject({
    code: 'ERR_BUS',
    message: `cannot watch ${path}`,
  });
});

it('a viewer that does not read holds up nobody, and is told how much it missed', async () => {
  const { bus, path } = await openBus();
  const slow = new RawViewer(path);
  const quick = new RawViewer(path);
  quick.read();
  await joined(bus, quick);
  const text = 'x'.repeat(1024);
  const published = 5000;
  for (let number = 1; number <= published; number++) {
    bus.publish('events', { number, text });
    if (number % 100 === 0) await new Promise(setImmediate);
  }
  const last = () => quick.messages.at(-1)?.data.number === published;
  await until(last, DEADLINE_MS, 'the last message');
  slow.read();
  const missed = () => slow.messages.find(({ type }) => type === 'missed')?.data.messages ?? 0;
  await until(
    () => {
      bus.publish('events', {});
      return missed();
    },
    DEADLINE_MS,
    'the number of missed messages',
  );
  const got = slow.messages.filter(({ data }) => data.number !== undefined).length;
  expect(got).toBeGreaterThan(0);
  // A queue of 256 KiB, and what the kernel holds for a socket.
  expect(got).toBeLessThan(2000);
});

it.each([
  ['a type that is no text', '{"type":5}\f'],
  ['a name of Object', '{"type":"__proto__"}\f'],
  ['an internal event', '{"type":"connect"}\f'],
  ['no message at all', 'x'],
])('a viewer that sends %s is disconnected, and the driver goes on', async (_, text) => {
  const { bus, path } = await openBus();
  const hostile = new RawViewer(path);
  hostile.read();
  hostile.socket.write(text);
  await once(hostile.socket, 'close');
  const viewer = new RawViewer(path);
  viewer.read();
  await joined(bus, viewer);
  expect(hostile.messages).toEqual([]);
});

it('the end does not wait for a viewer that does not read', async () => {
  const { bus, path } = await openBus();
  const stopped = new RawViewer(path);
  const reading = new RawViewer(path);
  reading.read();
  await joined(bus, reading);
  for (let count = 0; count < 2000; count++) {
    bus.publish('events', { text: 'x'.repeat(1024) });
  }
  await bus.close();
  const closed = once(stopped.socket, 'close');
  stopped.read();
  await closed;
  expect(stopped.messages.length).toBeLessThan(2000);
});
