import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { socketPair } from '../../src/msg/channel.js';
import type { Fd } from '../../src/msg/fd.js';
import * as libc from '../../src/msg/libc.js';
import * as linux from '../../src/msg/linux.js';
import { Poller } from '../../src/parent/poller.js';
import { REPOSITORY } from '../harness/paths.js';
import { until } from '../harness/wait.js';
import { outputOf } from './support/cli.js';
import { sendRaw } from './support/socketpair.js';

const DEADLINE_MS = 15_000;
const memory = libc.allocate(4096);
let poller: Poller;
let ours: Fd;
let theirs: Fd;

beforeEach(() => {
  poller = new Poller();
  [ours, theirs] = socketPair();
});

afterEach(async () => {
  await poller.close();
  for (const fd of [ours, theirs]) fd.close();
});

test('a watcher hears of what is there already and of what comes later', async () => {
  let heard = 0;
  sendRaw(theirs, Buffer.from('1'));
  poller.add(ours.number, linux.EPOLLIN, () => {
    libc.recv(ours.number, memory.address, 1, 0);
    heard++;
  });
  await until(() => heard === 1, DEADLINE_MS, 'the first byte');
  sendRaw(theirs, Buffer.from('2'));
  await until(() => heard > 1, DEADLINE_MS, 'the second byte');
  expect(heard).toBe(2);
});

test('a watcher hears of the events that it asks for, added or changed while it waits', async () => {
  const events: number[] = [];
  poller.add(ours.number, linux.EPOLLIN, (mask) => {
    events.push(mask);
    poller.modify(ours.number, 0);
  });
  poller.modify(ours.number, linux.EPOLLOUT);
  await until(() => events.length === 1, DEADLINE_MS, 'room to write');
  expect(events).toEqual([linux.EPOLLOUT]);
});

test('a watcher that is removed hears nothing more, even of what is pending with another', async () => {
  const [one, other] = socketPair();
  const heard: string[] = [];
  const watch = (fd: Fd, name: string, rival: Fd) =>
    poller.add(fd.number, linux.EPOLLIN, () => {
      heard.push(name);
      for (const { number } of [fd, rival]) poller.remove(number);
    });
  for (const socket of [theirs, other]) sendRaw(socket, Buffer.from('1'));
  watch(ours, 'first', one);
  watch(one, 'second', ours);
  await until(() => heard.length > 0, DEADLINE_MS, 'one of two watchers');
  await poller.close();
  expect(heard).toHaveLength(1);
  for (const fd of [one, other]) fd.close();
});

test('it watches again after everything was removed', async () => {
  const heard: number[] = [];
  for (let round = 1; round <= 20; round++) {
    sendRaw(theirs, Buffer.from('x'));
    poller.add(ours.number, linux.EPOLLIN, () => {
      libc.recv(ours.number, memory.address, 1, 0);
      heard.push(round);
    });
    await until(() => heard.length === round, DEADLINE_MS, `the byte of round ${round}`);
    poller.remove(ours.number);
  }
  expect(heard).toHaveLength(20);
});

test.each([
  ['idle', ''],
  ['watching', 'poller.add(ours.number, 1, () => {});'],
])(
  'closing one that is %s frees its fds and its thread, and the process ends',
  async (_, watch) => {
    const { code, stdout } = await outputOf(
      script(`
      const listeners = process.listenerCount('exit');
      const ownFds = () => readdirSync('/proc/self/fd').filter((fd) => {
        try {
          return /eventpoll|socket/.test(readlinkSync('/proc/self/fd/' + fd));
        } catch {
          return false; // The one that the folder was read through, or one of Node's.
        }
      });
      const before = ownFds().length;
      for (let round = 0; round < 20; round++) {
        const poller = new Poller();
        ${watch}
        await poller.close();
      }
      console.log(ownFds().length - before, process.listenerCount('exit') - listeners);
    `),
    );
    expect({ code, stdout }).toEqual({ code: 0, stdout: '0 0\n' });
  },
);

test.each([
  ['when it says so, while it is watching', 'process.exit(7);', 7],
  ['by itself, once nothing is watched any more', 'poller.remove(ours.number);', 0],
])('a process ends %s', async (_, end, code) => {
  const output = await outputOf(
    script(`
      const poller = new Poller();
      poller.add(ours.number, 1, () => {});
      await new Promise((resolve) => setImmediate(resolve));
      ${end}
    `),
  );
  expect(output).toEqual({ code, stdout: '', stderr: '' });
});

function script(body: string): string[] {
  const dist = join(REPOSITORY, 'dist');
  const text = `
    import { readdirSync, readlinkSync } from 'node:fs';
    import { socketPair } from '${dist}/msg/channel.js';
    import { Poller } from '${dist}/parent/poller.js';
    const [ours, theirs] = socketPair();
    ${body}`;
  return [process.execPath, '--input-type=module', '--eval', text];
}
