/** rootlessctl and sluice, each with rootlesskit's API and with ours: the same output. */
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Cleanup } from '../harness/cleanup.js';
import { rootlesskit, tool, userNamespaces } from '../harness/needs.js';
import { rootlesskitProgram, startRootlesskit } from '../harness/rootlesskit.js';
import { describeWith } from '../harness/suite.js';
import { startApi } from './support/api.js';
import { outputOf, sluice } from './support/cli.js';

/** One life of a port table, the commands that fail included. */
const STEPS: readonly (readonly string[])[] = [
  ['list-ports'],
  ['list-ports', '--json'],
  ['add-ports', '127.0.0.1:28480:80/tcp'],
  ['add-ports', '--json', '127.0.0.2:28481:10.0.2.100:80/tcp4'],
  ['list-ports', '--json'],
  ['remove-ports', '2'],
  ['list-ports'],
  ['add-ports', '127.0.0.1:28480:81/tcp'],
  ['remove-ports', '1', '2'],
  ['list-ports', '--json'],
];

for (const major of [1, 2] as const) {
  describeWith([rootlesskit(major), userNamespaces, tool('curl')], `rootlessctl ${major}`, () => {
    const cleanup = new Cleanup();
    let rootlessctl = '';
    let theirs = '';
    let ours = '';

    beforeAll(async () => {
      rootlessctl = join(dirname(rootlesskitProgram(major) ?? ''), 'rootlessctl');
      const options = { major, net: 'slirp4netns', portDriver: 'builtin' } as const;
      theirs = (await startRootlesskit(cleanup, options)).socket;
      ours = (await startApi(cleanup)).socketPath;
    }, 60_000);
    afterAll(() => cleanup.run());

    async function rootlessctlOutput(socket: string, args: readonly string[]) {
      const output = await outputOf([rootlessctl, '--socket', socket, ...args]);
      // Its name for an error is "error", ours is the program's.
      return { ...output, stderr: output.stderr.replace(/^error: /, 'sluice: ') };
    }

    test('writes what sluice writes, with an API of its own and with ours', async () => {
      const [first, ...others] = await Promise.all([
        story((args) => rootlessctlOutput(theirs, args)),
        story((args) => rootlessctlOutput(ours, args)),
      ]);
      for (const other of others) expect(other).toEqual(first);
      expect(first?.map(({ code }) => code)).toContain(1);
    }, 60_000);

    test.each(['info', 'info --json'])('%s is the same for both APIs', async (line) => {
      const args = line.split(' ');
      for (const socket of [theirs, ours]) {
        const own = await outputOf(sluice('--socket', socket, ...args));
        expect(own).toEqual(await rootlessctlOutput(socket, args));
      }
    });
  });
}

async function story<T>(step: (args: readonly string[]) => Promise<T>): Promise<T[]> {
  const outputs: T[] = [];
  for (const args of STEPS) outputs.push(await step(args));
  return outputs;
}
