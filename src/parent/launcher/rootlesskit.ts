/**
 * rootlesskit under our name. Without --port-driver=sluice this process becomes the real one, so
 * what that takes is imported only when it is needed.
 */
import { execFile } from 'node:child_process';
import { findRootlesskit } from './find.js';
import {
  type OptionTable,
  allValues,
  isTrue,
  lastValue,
  parseCommandLine,
  parseHelp,
  parsePlainCommandLine,
} from './options.js';
import { type CommandLine, wordsWithout } from './options.js';

/** Known to newer versions of rootlesskit, or to us alone. */
const OUR_OPTIONS: OptionTable = new Map([
  ['source-ip', true],
  ['source-ip-transparent', false],
  ['child-host-ip', true],
  ['udp-timeout', true],
  ['udp-timeout-stream', true],
  ['agents', true],
  ['max-flows', true],
  ['max-flows-per-port', true],
  ['log-level', true],
  ['log-format', true],
  ['metrics-listen', true],
]);

/** A line for each option: the man page has them from here. */
export const HELP_NOTE = `
With --port-driver=sluice this rootlesskit is started with --port-driver=none, and sluice publishes
the ports: those of --publish, and those asked for through the API socket in the state directory.
  --source-ip=keep               servers see their clients' own addresses, wherever that can work;
                                 require: or the client is refused; off: never
  --source-ip-transparent=false  the same as --source-ip=off
  --child-host-ip=tap            DNAT rules are written for the tap's address (default: loopback)
  --udp-timeout=30               seconds that a UDP session without an answer lives
  --udp-timeout-stream=180       seconds that any other UDP session lives after its last datagram
  --agents=N                     processes that forward (default: one for four cores, 8 at most)
  --max-flows=N                  connections and UDP sessions at a time (default: no limit)
  --max-flows-per-port=N         the same for each published port
  --log-level=LEVEL              error, warn (default), info or debug; or $SLUICE_LOG_LEVEL
  --log-format=FORMAT            logfmt (default) or json; or $SLUICE_LOG_FORMAT
  --metrics-listen=ADDR:PORT     serve Prometheus metrics on a loopback address as well
See also: sluice --help
`;

/**
 * Resolves with the exit code, when our port driver is asked for; else never returns.
 *
 * @throws SluiceError when there is no rootlesskit, or our port driver can't serve
 */
export async function launchRootlesskit(args: readonly string[]): Promise<number> {
  const real = findRootlesskit(process.env);
  // What is not even mentioned can't be asked for: spares the common case the question.
  if (!args.some((word) => /^(?:--?port-driver=)?sluice$/.test(word))) return become(real, args);
  const plain = parsePlainCommandLine(args);
  if (plain !== undefined && isToRun(plain)) {
    const { launch } = await import('./launch.js');
    return launch(real, plain);
  }
  // What is most likely needed next is loaded meanwhile.
  const [help, { launch }] = await Promise.all([helpOf(real), import('./launch.js')]);
  const line = parseCommandLine(args, new Map([...parseHelp(help), ...OUR_OPTIONS]));
  if (line === undefined || lastValue(line, 'port-driver') !== 'sluice') {
    return become(real, args);
  }
  if (asksForHelp(line)) {
    process.stdout.write(help + HELP_NOTE);
    return 0;
  }
  if (answersAtOnce(line)) {
    return become(real, wordsWithout(line, 'port-driver'));
  }
  return launch(real, line);
}

/** Whether a command is to be run, with our port driver. */
function isToRun(line: CommandLine): boolean {
  const isOurs = lastValue(line, 'port-driver') === 'sluice';
  return isOurs && !asksForHelp(line) && !answersAtOnce(line);
}

function asksForHelp(line: CommandLine): boolean {
  return isTrue(lastValue(line, 'help', 'h'));
}

/** Whether rootlesskit runs nothing: it is asked for its version, or has no command. */
function answersAtOnce(line: CommandLine): boolean {
  const { command } = line;
  const version =
    isTrue(lastValue(line, 'version', 'v')) || allValues(line, 'print-semver').length > 0;
  return version || command.length === 0;
}

/** Whatever it printed, even if it could not be run. */
function helpOf(real: string): Promise<string> {
  return new Promise((resolve) => {
    execFile(real, ['--help'], (_, stdout) => resolve(stdout));
  });
}

async function become(real: string, args: readonly string[]): Promise<never> {
  const { becomeProgram } = await import('./become.js');
  return becomeProgram([real, ...args]);
}
