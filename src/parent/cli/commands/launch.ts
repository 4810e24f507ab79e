/** The commands that start a driver: run, attach and rootlesskit. */
import { type Command, Option } from 'commander';
import { parsePortSpec } from '../../../msg/spec.js';
import type { DriverOptionTexts } from '../../launcher/driver-options.js';
import type { LogOptionTexts } from '../../log/options.js';
import { example, SPEC_FORM } from './text.js';

interface ObservedOptions extends DriverOptionTexts, LogOptionTexts {
  readonly metricsListen?: string;
}

interface RunOptions extends ObservedOptions {
  readonly publish?: string[];
  readonly stateDir?: string;
}

interface AttachOptions extends ObservedOptions {
  readonly stateDir: string;
}

type ExitWith = (code: number) => void;

export function addLaunchCommands(program: Command, exitWith: ExitWith): void {
  addRun(program, exitWith);
  addAttach(program, exitWith);
  // For the help only: main() takes every other call.
  example(
    program.command('rootlesskit'),
    'sluice rootlesskit --net=slirp4netns --port-driver=sluice -p 127.0.0.1:8080:80/tcp bash',
  )
    .description('rootlesskit, with --port-driver=sluice added to its port drivers')
    .usage("[any of rootlesskit's arguments]")
    .addHelpText('after', "\nrootlesskit's own help: docker-rootlesskit --help");
}

function addRun(program: Command, exitWith: ExitWith): void {
  example(
    program.command('run'),
    'sluice run -p 127.0.0.1:8080:80/tcp -- python3 -m http.server 80',
  )
    .description('Run a command in new user and network namespaces, with ports published')
    .usage('[-p SPEC...] [--state-dir DIR] -- COMMAND [ARG...]')
    .option('-p, --publish <spec...>', `ports to publish, each ${SPEC_FORM}`)
    .option('--state-dir <dir>', 'directory for api.sock and the like (default: a temporary one)')
    .addOption(sourceIPOption())
    .addOption(transparentOption())
    .addOption(udpTimeoutOption())
    .addOption(udpTimeoutStreamOption())
    .addOption(agentsOption())
    .addOption(maxFlowsOption())
    .addOption(maxFlowsPerPortOption())
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .addOption(metricsOption())
    .argument('<command...>', 'what to run')
    .passThroughOptions()
    .action(async (command: string[], options: RunOptions) => {
      const { run } = await import('../../launcher/run.js');
      const { driverOptions } = await import('../../launcher/driver-options.js');
      const { logOptions } = await import('../../log/options.js');
      const { parseMetricsListen } = await import('../../metrics/listen.js');
      const { publish = [], stateDir } = options;
      exitWith(
        await run({
          publish: publish.map(parsePortSpec),
          command,
          ...(stateDir !== undefined && { stateDir }),
          driver: driverOptions(options),
          log: logOptions(options),
          metricsListen: parseMetricsListen(options.metricsListen),
        }),
      );
    });
}

function addAttach(program: Command, exitWith: ExitWith): void {
  example(
    program.command('attach'),
    'sluice attach --state-dir "$XDG_RUNTIME_DIR/dockerd-rootless"',
  )
    .description("Take over the ports of a running rootlesskit, the builtin driver's included")
    .requiredOption('--state-dir <dir>', "rootlesskit's state directory")
    .addOption(sourceIPOption())
    .addOption(transparentOption())
    .addOption(udpTimeoutOption())
    .addOption(udpTimeoutStreamOption())
    .addOption(agentsOption())
    .addOption(maxFlowsOption())
    .addOption(maxFlowsPerPortOption())
    .addOption(
      new Option(
        '--child-host-ip <which>',
        'address that engines write DNAT rules for (default: loopback)',
      )
        .choices(['loopback', 'tap'])
        // Refused in the same words as on rootlesskit's command line.
        .argParser((text) => text),
    )
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .addOption(metricsOption())
    .action(async (options: AttachOptions) => {
      const { attach } = await import('../../launcher/attach.js');
      const { driverOptions } = await import('../../launcher/driver-options.js');
      const { logOptions } = await import('../../log/options.js');
      const { parseMetricsListen } = await import('../../metrics/listen.js');
      const { stateDir } = options;
      const log = logOptions(options);
      const metricsListen = parseMetricsListen(options.metricsListen);
      exitWith(await attach({ stateDir, driver: driverOptions(options), log, metricsListen }));
    });
}

function sourceIPOption(): Option {
  return (
    new Option(
      '--source-ip <policy>',
      "clients' own addresses towards servers: keep wherever that can work, require, off (default: keep)",
    )
      .choices(['keep', 'require', 'off'])
      // Refused in the same words as on rootlesskit's command line.
      .argParser((text) => text)
  );
}

function transparentOption(): Option {
  return new Option('--source-ip-transparent <bool>', 'false is the same as --source-ip=off');
}

function agentsOption(): Option {
  return new Option(
    '--agents <n>',
    'processes that forward (default: one for four cores, 8 at most)',
  );
}

function maxFlowsOption(): Option {
  return new Option(
    '--max-flows <n>',
    'connections and UDP sessions at a time; what is more is reset or dropped (default: no limit)',
  );
}

function maxFlowsPerPortOption(): Option {
  return new Option('--max-flows-per-port <n>', 'the same for each published port');
}

function udpTimeoutOption(): Option {
  return new Option(
    '--udp-timeout <seconds>',
    'how long a UDP session without an answer lives (default: 30)',
  );
}

function udpTimeoutStreamOption(): Option {
  return new Option(
    '--udp-timeout-stream <seconds>',
    'how long any other UDP session lives after its last datagram (default: 180)',
  );
}

function logLevelOption(): Option {
  return new Option('--log-level <level>', 'error, warn, info or debug (default: warn)');
}

function logFormatOption(): Option {
  return new Option('--log-format <format>', 'logfmt or json (default: logfmt)');
}

function metricsOption(): Option {
  return new Option(
    '--metrics-listen <addr:port>',
    'serve Prometheus metrics on a loopback address as well as on the API socket',
  );
}
