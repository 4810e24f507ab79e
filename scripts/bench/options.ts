/** The command line, and the plan that it asks for. */
import { resolve } from 'node:path';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { SluiceError } from '../../src/msg/errors.js';
import { which } from './command.js';
import type { Plan } from './rounds.js';
import type { Suite } from './suites/suite.js';
import { docker } from './suites/docker.js';
import { idle } from './suites/idle.js';
import { ports } from './suites/ports.js';
import { start } from './suites/start.js';
import { tcp } from './suites/tcp.js';
import { udp } from './suites/udp.js';

const SUITES: readonly Suite[] = [tcp, udp, docker, ports, idle, start];
const SOAK = 'soak';
const TOOLS = ['iperf3', 'wrk', 'nginx', 'setpriv', 'curl', 'strace'];

interface Options {
  readonly rounds: number;
  readonly seconds: number;
  readonly minutes: number;
  readonly output?: string;
  readonly quick?: true;
  readonly only?: readonly string[];
  readonly peers?: readonly string[];
}

export type Asked =
  | { readonly suite: Suite; readonly options: Options }
  | { readonly soakMinutes: number };

/** Ends the process on `--help` and on a wrong option. */
export function parseCommandLine(): Asked {
  const command = new Command('bench')
    .description(
      'Measures sluice and its peers side by side; writes JSON, a page and plots to bench-results/.',
    )
    .addArgument(
      new Argument('[suite]').choices([...SUITES.map(({ name }) => name), SOAK]).default(tcp.name),
    )
    .option('--rounds <n>', 'turns of each peer', wholeNumber, 5)
    .option('--seconds <n>', 'length of each measurement', wholeNumber, 2)
    .addOption(
      new Option('--quick', 'one round of one second each: shows that it works').implies({
        rounds: 1,
        seconds: 1,
      }),
    )
    .option('--only <names>', 'measurements to make, with commas', (text) => text.split(','))
    .option('--peers <names>', 'peers to measure, with commas', (text) => text.split(','))
    .option('--output <folder>', 'for SUITE.json, SUITE.md and plots; default: a new one', (path) =>
      resolve(path),
    )
    .option('--minutes <n>', 'length of the soak', wholeNumber, 20)
    .addHelpText('after', `\n${SUITES.map(helpOf).join('\n')}`)
    .addHelpText('after', `\nSuite ${SOAK}: everything at once; shows leaks, and the longest stall`)
    .addHelpText(
      'after',
      '\nExample:\n  npm run bench -- --peers sluice,builtin --only connections',
    )
    .parse();
  const options = command.opts<Options>();
  const [name] = command.processedArgs as [string];
  if (name === SOAK) return { soakMinutes: options.minutes };
  return { suite: SUITES.find((suite) => suite.name === name) ?? tcp, options };
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,2}$/.test(text)) {
    throw new InvalidArgumentError('expected a whole number from 1 to 999');
  }
  return Number(text);
}

function helpOf({ name, peers, measurements }: Suite): string {
  return [
    `Suite ${name}`,
    `  measurements: ${measurements.map((measurement) => measurement.name).join(', ')}`,
    ...peers.map((peer) => `  peer ${peer.name}: ${peer.description}`),
  ].join('\n');
}

/** Says loudly which peers it leaves out, and why. */
export function planOf(suite: Suite, options: Options): Plan {
  const absent = TOOLS.filter((tool) => which(tool) === undefined);
  if (absent.length > 0) {
    throw new SluiceError(
      'BENCH_TOOLS',
      `not on the PATH: ${absent.join(', ')}; on Debian: apt-get install iperf3 wrk nginx-light curl strace`,
    );
  }
  const peers = chosen('--peers', suite.peers, options.peers).filter((peer) => {
    const missing = peer.missing();
    if (missing !== undefined) {
      console.error(`\n!!! SKIPPED: ${peer.name}: ${missing}\n`);
    }
    return missing === undefined;
  });
  const measurements = chosen('--only', suite.measurements, options.only);
  return {
    peers,
    measurements,
    rounds: options.rounds,
    seconds: options.seconds,
    quick: options.quick === true,
  };
}

function chosen<T extends { readonly name: string }>(
  option: string,
  all: readonly T[],
  wanted: readonly string[] | undefined,
): T[] {
  const known = all.map(({ name }) => name);
  const unknown = wanted?.filter((name) => !known.includes(name)) ?? [];
  if (unknown.length > 0) {
    const text = `${option} names '${unknown.join(', ')}'; there are ${known.join(', ')}`;
    throw new SluiceError('BENCH_OPTION', text);
  }
  return all.filter(({ name }) => wanted === undefined || wanted.includes(name));
}
