import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { assertOwn } from '../../src/parent/launcher/state-dir.js';
import { temporaryFolder } from '../harness/cleanup.js';
import { perTest } from '../harness/suite.js';

const cleanup = perTest();

test.each([0o700, 0o755, 0o775])('a state directory may have mode %o', (mode) => {
  const folder = temporaryFolder(cleanup);
  chmodSync(folder, mode);
  expect(() => assertOwn(folder)).not.toThrow();
});

test('a state directory may be missing', () => {
  const folder = temporaryFolder(cleanup);
  expect(() => assertOwn(join(folder, 'later'))).not.toThrow();
});

test('a state directory that every user may write to is refused', () => {
  const folder = temporaryFolder(cleanup);
  chmodSync(folder, 0o777);
  expect(() => assertOwn(folder)).toThrow(
    expect.objectContaining({
      code: 'ERR_STATE_DIR_OPEN',
      message: `every user may write to the state directory ${folder}; take that away with \`chmod o-w ${folder}\`, or give another one with --state-dir`,
    }),
  );
});

test('a state directory of another user is refused', () => {
  expect(() => assertOwn('/proc/1')).toThrow(
    expect.objectContaining({ code: 'ERR_STATE_DIR_FOREIGN' }),
  );
});
