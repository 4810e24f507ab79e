import { fstatSync } from 'node:fs';
import { expect, test } from 'vitest';
import { errnoName, Fd, must } from '../../src/msg/fd.js';
import { SluiceError } from '../../src/msg/errors.js';
import { openFds, pipe } from './support/socketpair.js';

const isOpen = (number: number) => {
  try {
    fstatSync(number);
    return true;
  } catch {
    return false;
  }
};

test('a descriptor is closed once, and never when its number belongs to another', () => {
  const [first, writer] = pipe();
  const { number } = first;
  first.close();
  expect(isOpen(number)).toBe(false);
  // The kernel gives the lowest free number: the one that was just closed.
  const [second, other] = pipe();
  expect(second.number).toBe(number);
  first.close();
  expect(isOpen(number)).toBe(true);
  for (const fd of [writer, second, other]) fd.close();
});

test('a descriptor that was given away stays open', () => {
  const [reader, writer] = pipe();
  const number = reader.release();
  expect(reader.isOpen).toBe(false);
  reader.close();
  expect(isOpen(number)).toBe(true);
  for (const fd of [writer, new Fd(number)]) fd.close();
});

test('a closed descriptor has no number, and can’t be given away', () => {
  const [reader, writer] = pipe();
  for (const fd of [reader, writer]) fd.close();
  expect(() => reader.number).toThrow('use of a file descriptor that was closed');
  expect(() => reader.release()).toThrow('use of a file descriptor that was closed');
});

test('a descriptor ends with its scope, by an error too', () => {
  const before = openFds();
  expect(() => {
    const [first, second] = pipe();
    using reader = first;
    using writer = second;
    throw new Error(`of the scope of ${reader.number} and ${writer.number}`);
  }).toThrow('of the scope of ');
  expect(openFds()).toBe(before);
});

test('a failed call is named with its errno', () => {
  expect(errnoName(-98)).toBe('EADDRINUSE');
  expect(must(0, 'socket')).toBe(0);
  expect(() => must(-24, 'socket')).toThrow(new SluiceError('EMFILE', 'socket failed: EMFILE'));
});
