import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { openFilesLimits } from '../../src/msg/open-files.js';

test('they are those that the kernel lists', () => {
  const line = /^Max open files +(\S+) +(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1'));
  const [soft, hard] = [line?.[1], line?.[2]].map((limit) =>
    limit === 'unlimited' ? Infinity : Number(limit),
  );
  expect(openFilesLimits()).toEqual({ soft, hard });
});

test('asking takes no memory, however often', () => {
  const asked = 20_000;
  const before = mappedPages();
  for (let count = 0; count < asked; count++) openFilesLimits();
  expect(mappedPages() - before).toBeLessThan(asked / 2);
});

function mappedPages(): number {
  return Number(readFileSync('/proc/self/statm', 'latin1').split(' ')[0]);
}
