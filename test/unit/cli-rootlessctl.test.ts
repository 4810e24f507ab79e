/** rootlessctl and sluice, each with rootlesskit's API and with ours: the same output. */
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Cleanup } from '../harness/cleanup.js';
import { rootlesskit } from '../harness/needs.js';
import { rootlesskitProgram, startRootlesskit } from '../harness/rootlesskit.js';
import { sluice } from '../harness/sluice.js';
import { describeWith } from '../harness/suite.js';
import { startApi } from './support/api.js';
import { outputOf } from './support/cli.js';

/** One life of a port table, the commands that fail included. */
const STEPS: readonly (readonly string[])[] = [
  ['list-ports'],
  ['list-ports', '--json'],
  ['add-ports', '127.0.0.1:28480:80/tcp'],
  ['list-ports'],
  ['list-ports', '--json'],
  // With two of them rootlesskit's order is a matter of chance.
  ['add-ports', '--json', '127.0.0.2:28481:10.0.2.100:80/tcp4'],
  ['remove-ports', '1'],
  ['list-ports'],
  ['list-ports', '--json'],
  ['add-ports', '127.0.0.2:28481:81/tcp4'],
  ['remove-ports', '2', '1'],
  ['list-ports', '--json'],
];

for (const major of [1, 2] as const) {
  describeWith([rootlesskit(major)], `rootlessctl ${major}`, () => {
    const cleanup = new Cleanup();
    let rootlessctl = '';
    let theirs: string[] = [];
    let ours = '';

    beforeAll(async () => {
      rootlessctl = join(dirname(rootlesskitProgram(major) ?? ''), 'rootlessctl');
      const options = { major, net: 'slirp4netns', portDriver: 'builtin' } as const;
      const started = [1, 2].map(() => startRootlesskit(cleanup, options));
      theirs = (await Promise.all(started)).map(({ socket }) => socket);
      ours = (await startApi(cleanup)).socketPath;
    });
    afterAll(() => cleanup.run());

    async function rootlessctlOutput(socket: string, args: readonly string[]) {
      const output = await outputOf([rootlessctl, '--socket', socket, ...args]);
      // Its name for an error is "error", ours is the program's.
      return { ...output, stderr: output.stderr.replace(/^error: /, 'sluice: ') };
    }

    test('writes what sluice writes, and the same with our API', async () => {
      const [first = '', second = ''] = theirs;
      // One after the other: the ports are the same.
      const reference = await story((args) => rootlessctlOutput(first, args));
      const withSluice = await story((args) =>
        outputOf(sluice(args[0] ?? '', '--socket', second, ...args.slice(1))),
      );
      expect(withSluice).toEqual(reference);
      expect(await story((args) => rootlessctlOutput(ours, args))).toEqual(reference);
      expect(reference.filter(({ code }) => code === 1)).toHaveLength(2);
    });

    test.each(['info', 'info --json'])('%s is the same for both APIs', async (line) => {
      const args = line.split(' ');
      for (const socket of [...theirs, ours]) {
        const own = await outputOf(sluice('--socket', socket, ...args));
        expect(own).toEqual(await rootlessctlOutput(socket, args));
      }
    });
  });
}

/** The output of every step. */
async function story<T>(step: (args: readonly string[]) => Promise<T>): Promise<T[]> {
  const outputs: T[] = [];
  for (const args of STEPS) outputs.push(await step(args));
  return outputs;
}
