/** Two minutes of `npm run bench -- soak`. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { userNamespaces } from '../harness/needs.js';
import { REPOSITORY } from '../harness/paths.js';
import { start } from '../harness/processes.js';
import { describeWith, perTest } from '../harness/suite.js';

const MINUTES = 2;
/** With its start, its first load and what has to settle. */
const DEADLINE_MS = (MINUTES + 3) * 60_000;

describeWith([userNamespaces], 'a driver that does everything at once', () => {
  const cleanup = perTest();

  it(
    'leaks no fd, no pipe, no session, no process and no memory, and fails nowhere',
    async () => {
      const tsx = join(REPOSITORY, 'node_modules/.bin/tsx');
      const main = join(REPOSITORY, 'scripts/bench/main.ts');
      const soak = await start(cleanup, [tsx, main, 'soak', `--minutes=${MINUTES}`]);
      const { code } = await soak.exited(DEADLINE_MS);
      console.log(soak.stdout);
      expect(soak.stderr).not.toContain('soak: FAILED');
      expect(code).toBe(0);
    },
    DEADLINE_MS,
  );
});
