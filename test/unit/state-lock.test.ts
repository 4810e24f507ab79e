import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { lockStateDir } from '../../src/parent/state.js';
import { temporaryFolder } from '../harness/cleanup.js';
import { start } from '../harness/processes.js';
import { perTest } from '../harness/suite.js';

const cleanup = perTest();

test('a state directory is locked for one at a time, and the next one may have it', () => {
  const folder = temporaryFolder(cleanup);
  const first = lockStateDir(folder);
  expect(() => lockStateDir(folder)).toThrow(
    `a sluice serves ${folder} already; end that one first if you want another`,
  );
  first[Symbol.dispose]();
  expect(existsSync(join(folder, 'sluice.lock'))).toBe(false);
  lockStateDir(folder)[Symbol.dispose]();
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
  expect(() => lockStateDir(folder)).toThrow('a sluice serves');
  process.kill(-holder.pid, 'SIGKILL');
  await holder.exited(10_000);
  expect(existsSync(file)).toBe(true);
  lockStateDir(folder)[Symbol.dispose]();
});
