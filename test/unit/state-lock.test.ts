import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { lockStateDir } from '../../src/parent/state-lock.js';
import { temporaryFolder } from '../harness/cleanup.js';
import { start } from '../harness/processes.js';
import { perTest } from '../harness/suite.js';

const cleanup = perTest();

function lock(folder: string): Disposable {
  return lockStateDir(folder, ({ type }) => expect.unreachable(type));
}

test('a state directory is locked for one at a time, and the next one may have it', () => {
  const folder = temporaryFolder(cleanup);
  const first = lock(folder);
  expect(() => lock(folder)).toThrow(
    `a sluice serves ${folder} already; end that one first if you want another`,
  );
  first[Symbol.dispose]();
  expect(existsSync(join(folder, 'sluice.lock'))).toBe(false);
  lock(folder)[Symbol.dispose]();
});

test('the lock of a process that was killed holds nobody up', async () => {
  const folder = temporaryFolder(cleanup);
  const file = join(folder, 'sluice.lock');
  writeFileSync(file, '');
  const holder = await start(cleanup, [
    'flock',
    file,
    'sh',
    '-c',
    'echo held; exec sleep infinity',
  ]);
  await holder.line(/^held$/m, 10_000);
  expect(() => lock(folder)).toThrow('a sluice serves');
  process.kill(-holder.pid, 'SIGKILL');
  await holder.exited(10_000);
  expect(existsSync(file)).toBe(true);
  lock(folder)[Symbol.dispose]();
});
