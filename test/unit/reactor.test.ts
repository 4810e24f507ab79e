import { writeSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { Reactor, type Task } from '../../src/child/reactor.js';
import * as libc from '../../src/msg/libc.js';
import * as linux from '../../src/msg/linux.js';

/** Longer than a turn has for what is queued. */
const LONG_MS = 2;

/** Each notes its name, then does `work`. */
function tasksOf(log: string[], names: readonly string[], work: (task: Task) => void): Task[] {
  return names.map((name) => {
    const task: Task = {
      runShare: () => {
        log.push(name);
        work(task);
      },
    };
    return task;
  });
}

function busy(): void {
  const end = performance.now() + LONG_MS;
  while (performance.now() < end);
}

function pipe(): { readEnd: number; writeEnd: number } {
  const fds = libc.allocate(8);
  expect(libc.pipe2(fds.address, linux.O_NONBLOCK | linux.O_CLOEXEC)).toBe(0);
  const [readEnd, writeEnd] = [fds.view.getInt32(0, true), fds.view.getInt32(4, true)];
  onTestFinished(() => [readEnd, writeEnd].forEach((fd) => libc.close(fd)));
  return { readEnd, writeEnd };
}

/** A reactor, and the log of its one event, which `write` brings about. */
function started() {
  const reactor = new Reactor();
  const log: string[] = [];
  const { readEnd, writeEnd } = pipe();
  reactor.add(readEnd, linux.EPOLLIN | linux.EPOLLET, { onEvents: () => log.push('event') });
  return { reactor, log, write: () => writeSync(writeEnd, '!') };
}

test('an event is handled before all that is queued was done', () => {
  const { reactor, log, write } = started();
  const tasks = tasksOf(log, ['a', 'b', 'c'], () => {
    if (log.length === 1) write();
    busy();
    if (log.includes('c')) reactor.stop();
  });
  for (const task of tasks) reactor.queue(task);
  reactor.run();
  expect(log).toEqual(['a', 'event', 'b', 'c']);
});

test('an event is handled before what asks again gets its next share', () => {
  const { reactor, log, write } = started();
  const tasks = tasksOf(log, ['a'], (task) => {
    if (log.length === 1) write();
    reactor.queue(task);
    if (log.length > 2) reactor.stop();
  });
  for (const task of tasks) reactor.queue(task);
  reactor.run();
  expect(log).toEqual(['a', 'event', 'a']);
});

test('what is queued gets its share in turn, long or short, and once however often it asks', () => {
  const { reactor, log } = started();
  const tasks = tasksOf(log, ['a', 'b', 'c'], (task) => {
    reactor.queue(task);
    reactor.queue(task);
    if (log.length <= 4) busy();
    if (log.length === 9) reactor.stop();
  });
  for (const task of tasks) reactor.queue(task);
  reactor.run();
  expect(log.slice(0, 9).join('')).toBe('abcabcabc');
});
