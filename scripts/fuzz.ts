/**
 * `npm run fuzz -- [--cases N] [--seed S] [--target NAME]`: every parser against input that is nearly
 * right. Exits with 1 if something failed, and keeps its seed in the corpus, which the tests replay.
 */
import { randomInt } from 'node:crypto';
import { Command, InvalidArgumentError, Option } from 'commander';
import { addToCorpus, readCorpus } from '../test/fuzz/corpus.js';
import { TARGETS } from '../test/fuzz/targets.js';

const MAX_SEED = 2 ** 31;

interface Options {
  readonly cases: number;
  readonly seed: number;
  readonly target?: string;
}

const options = new Command('fuzz')
  .description('Gives every parser input that is nearly right.')
  .option('--cases <n>', 'inputs in total, shared by the targets', wholeNumber, 1_000_000)
  .option('--seed <n>', 'makes the same inputs again', wholeNumber, randomInt(MAX_SEED))
  .addOption(
    new Option('--target <name>', 'only this one').choices(TARGETS.map(({ name }) => name)),
  )
  .parse()
  .opts<Options>();
const targets = TARGETS.filter(({ name }) => name === (options.target ?? name));
const cases = Math.ceil(options.cases / targets.length);

for (const target of targets) {
  const replay = readCorpus().filter((seed) => seed.target === target.name);
  for (const { seed, path } of replay) await run({ seed, cases: 1, path }, 'from the corpus');
  const { seed } = options;
  const failure = await run({ seed, cases }, `${cases} cases`);
  if (failure !== undefined) addToCorpus({ target: target.name, seed, path: failure.path });

  async function run(inputs: Parameters<typeof target.check>[0], what: string) {
    const result = await target.check(inputs);
    console.log(
      `fuzz: ${target.name}, seed ${inputs.seed}, ${what}: ${result?.report ?? 'passed'}`,
    );
    if (result !== undefined) process.exitCode = 1;
    return result;
  }
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text))
    throw new InvalidArgumentError('expected a whole number of up to nine digits');
  return Number(text);
}
