/** What becomes of a command whose output nobody takes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, closeSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import { sluice } from '../harness/sluice.js';
import { perTest } from '../harness/suite.js';
import { startApi } from './support/api.js';
import { outputOf } from './support/cli.js';

const cleanup = perTest();
vi.setConfig({ testTimeout: 60_000 });

/** Runs a command whose reader leaves before it writes a word. */
async function unread(args: readonly string[], isErrorUnread: boolean) {
  const [file, ...rest] = sluice(...args) as [string, ...string[]];
  const child = spawn(file, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let stderr = '';
  if (isErrorUnread) child.stderr.destroy();
  else child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { code, signal, stderr };
}

test.each([
  [['--help']],
  [['help', 'top']],
  [['completion', 'bash']],
  [['complete', '']],
  [['doctor']],
  [['list-ports']],
  [['list-ports', '--json']],
  [['add-ports', '2:2/tcp']],
  [['info']],
  [['probe', '127.0.0.1:1']],
  [['portmapper', '--listen', './plugin.sock']],
])('nobody reads what sluice prints for %j: it ends without a word', async (args) => {
  const { socketPath, manager, stateDir } = await startApi(cleanup);
  for (let port = 1; port <= 3; port++) {
    await manager.addPort({ proto: 'tcp', parentPort: 1000 + port, childPort: 80 });
  }
  const needsApi = /^(?:list|add|info|portm)/.test(args[0] ?? '');
  const words = args.map((word) => word.replace(/^\./, stateDir));
  const all = needsApi ? [...words, '--socket', socketPath] : words;
  expect(await unread(all, false)).toEqual({ code: 0, signal: null, stderr: '' });
  expect(await unread(all, true)).toMatchObject({ signal: null });
});

test('output for a full disk is an error', async () => {
  const full = openSync('/dev/full', 'w');
  cleanup.defer(() => closeSync(full));
  const [file = '', ...args] = sluice('--help');
  const shell = ['sh', '-c', '"$@" >&3', 'sh', file, ...args];
  expect(await outputOf(shell, { extraFds: [full] })).toEqual({
    code: 1,
    stdout: '',
    stderr: 'sluice: cannot write the output: ENOSPC: no space left on device, write\n',
  });
});
