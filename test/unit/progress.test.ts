import { join } from 'node:path';
import { expect, it } from 'vitest';
import { tool } from '../harness/needs.js';
import { REPOSITORY } from '../harness/paths.js';
import { describeWith } from '../harness/suite.js';
import { outputOf } from './support/cli.js';

const SCRIPT = `
  const { Progress } = await import('${join(REPOSITORY, 'scripts/progress.ts')}');
  const progress = new Progress(2);
  for (const name of ['one', 'two']) progress.begin(name);
  progress[Symbol.dispose]();
  console.log('result');`;
const COMMAND = [process.execPath, '--import', 'tsx', '--input-type=module', '--eval', SCRIPT];

describeWith([tool('script')], 'progress', () => {
  it('is shown on a terminal, on one line that is empty in the end', async () => {
    const env = {
      SHELL: '/bin/sh',
      ...Object.fromEntries(COMMAND.map((word, at) => [`W${at}`, word])),
    };
    const words = COMMAND.map((_, at) => `"$W${at}"`).join(' ');
    const { stdout } = await outputOf(['script', '--quiet', '--command', words, '/dev/null'], {
      env,
    });
    expect(stdout).toBe(
      '\u001B[K1/2: one\r\u001B[K2/2: two, 0.0 minutes left\r\u001B[K\rresult\r\n',
    );
  });

  it('is not shown elsewhere', async () => {
    expect(await outputOf(COMMAND)).toEqual({ code: 0, stdout: 'result\n', stderr: '' });
  });
});
