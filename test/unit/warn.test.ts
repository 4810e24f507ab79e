import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';

const WARN = new URL('../../dist/parent/warn.js', import.meta.url);
/** Warns once its stdin ends, then gives an error of stderr the time to be emitted. */
const PROGRAM = `
  import { warn } from '${WARN.href}';
  process.stdin.resume().on('end', () => {
    warn('text');
    setImmediate(() => process.exit(7));
  });
`;

it('a warning that nobody reads does not end the process', async () => {
  const stdio = ['pipe', 'ignore', 'pipe'] as const;
  const program = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM], {
    stdio: [...stdio],
  });
  program.stderr?.destroy();
  await once(program.stderr ?? program, 'close');
  program.stdin?.end();
  expect(await once(program, 'exit')).toEqual([7, null]);
});
