#!/usr/bin/env node
/** The command line. Each command's code is loaded only when it is called. */
import { Command, CommanderError, Option } from 'commander';
import { parsePortSpec } from '../../msg/spec.js';
import { VERSION } from '../api/version.js';
import type { DriverOptionTexts } from '../launcher/driver-options.js';
import { oneLine, report } from './report.js';

const SPEC_FORM = '[parentIP:]parentPort:[childIP:]childPort/proto, IPv6 in brackets';

interface ApiOptions {
  readonly socket?: string;
  readonly json?: true;
}

interface RunOptions extends DriverOptionTexts {
  readonly publish: string[];
  readonly stateDir?: string;
}

/** Resolves with the exit code: that of the command that was run, else 0, or 1 after an error. */
async function main(args: readonly string[]): Promise<number> {
  const [name, first] = args;
  // Every argument belongs to rootlesskit, "--" included, which commander would take away.
  if (name === 'rootlesskit' && first !== '--help' && first !== '-h') {
    const { launchRootlesskit } = await import('../launcher/rootlesskit.js');
    return launchRootlesskit(args.slice(1));
  }
  let exitCode = 0;
  const program = createProgram((code) => {
    exitCode = code;
  });
  if (name === undefined) {
    program.outputHelp();
    return 0;
  }
  await program.parseAsync(args, { from: 'user' });
  return exitCode;
}

function createProgram(exitWith: (code: number) => void): Command {
  const program = new Command('sluice')
    .description('Publishes ports of a rootless network namespace on the host')
    .version(VERSION)
    // So that options after the command of "run" are the command's own.
    .enablePositionalOptions()
    .configureOutput({ outputError: (text) => process.stderr.write(`sluice: ${oneLine(text)}\n`) })
    .exitOverride()
    // rootlessctl takes it before the command only; here both places do.
    .addOption(socketOption().hideHelp());
  addLaunchCommands(program, exitWith);
  addApiCommands(program);
  return program;
}

function addLaunchCommands(program: Command, exitWith: (code: number) => void): void {
  example(
    program.command('run'),
    'sluice run -p 127.0.0.1:8080:80/tcp -- python3 -m http.server 80',
  )
    .description('Run a command in new user and network namespaces, with ports published')
    .usage('[-p SPEC...] [--state-dir DIR] -- COMMAND [ARG...]')
    .option('-p, --publish <spec...>', `ports to publish, each ${SPEC_FORM}`, [])
    .option('--state-dir <dir>', 'directory for api.sock and the like (default: a temporary one)')
    .addOption(transparentOption())
    .argument('<command...>', 'what to run')
    .passThroughOptions()
    .action(async (command: string[], options: RunOptions) => {
      const { run } = await import('../launcher/run.js');
      const { driverOptions } = await import('../launcher/driver-options.js');
      const { publish, stateDir } = options;
      exitWith(
        await run({
          publish: publish.map(parsePortSpec),
          command,
          ...(stateDir !== undefined && { stateDir }),
          driver: driverOptions(options),
        }),
      );
    });
  example(
    program.command('attach'),
    'sluice attach --state-dir "$XDG_RUNTIME_DIR/dockerd-rootless"',
  )
    .description("Take over the ports of a running rootlesskit, the builtin driver's included")
    .requiredOption('--state-dir <dir>', "rootlesskit's state directory")
    .addOption(transparentOption())
    .addOption(
      new Option(
        '--child-host-ip <which>',
        "address that engines write DNAT rules for: 'loopback' or 'tap'",
      ),
    )
    .action(async (options: DriverOptionTexts & { readonly stateDir: string }) => {
      const { attach } = await import('../launcher/attach.js');
      const { driverOptions } = await import('../launcher/driver-options.js');
      exitWith(await attach({ stateDir: options.stateDir, driver: driverOptions(options) }));
    });
  // For the help only: main() takes every other call.
  example(
    program.command('rootlesskit'),
    'sluice rootlesskit --net=slirp4netns --port-driver=sluice -p 127.0.0.1:8080:80/tcp bash',
  )
    .description('rootlesskit, with --port-driver=sluice added to its port drivers')
    .usage("[any of rootlesskit's arguments]")
    .addHelpText('after', "\nrootlesskit's own help: docker-rootlesskit --help");
}

function addApiCommands(program: Command): void {
  apiCommand(program, 'add-ports', 'sluice add-ports 127.0.0.1:8080:80/tcp')
    .description('Publish ports, and print their ids')
    .argument('<spec...>', SPEC_FORM)
    .action(async (specs: string[], _: unknown, command: Command) => {
      const { addPorts } = await import('./ports.js');
      await addPorts(specs, command.optsWithGlobals<ApiOptions>());
    });
  apiCommand(program, 'list-ports', 'sluice list-ports --json')
    .description('List the published ports')
    .action(async (_: unknown, command: Command) => {
      const { listPorts } = await import('./ports.js');
      await listPorts(command.optsWithGlobals<ApiOptions>());
    });
  apiCommand(program, 'remove-ports', 'sluice remove-ports 1 2')
    .description('Remove published ports by their ids, and print those')
    .argument('<id...>', 'as printed by add-ports and list-ports')
    .action(async (ids: string[], _: unknown, command: Command) => {
      const { removePorts } = await import('./ports.js');
      await removePorts(ids, command.optsWithGlobals<ApiOptions>());
    });
  apiCommand(program, 'info', 'sluice info --socket "$XDG_RUNTIME_DIR/dockerd-rootless/api.sock"')
    .description('Show what runs: versions, state directory, drivers')
    .action(async (_: unknown, command: Command) => {
      const { showInfo } = await import('./info.js');
      await showInfo(command.optsWithGlobals<ApiOptions>());
    });
}

function apiCommand(program: Command, name: string, exampleLine: string): Command {
  const command = example(program.command(name), exampleLine).addOption(socketOption());
  return name === 'remove-ports' ? command : command.option('--json', 'print JSON');
}

function transparentOption(): Option {
  return new Option(
    '--source-ip-transparent <bool>',
    "whether servers see the client's own address (default: true)",
  );
}

function socketOption(): Option {
  return new Option('--socket <path>', 'the API (default: $ROOTLESSKIT_STATE_DIR/api.sock)');
}

function example(command: Command, line: string): Command {
  return command.addHelpText('after', `\nExample:\n  ${line}`);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (error instanceof CommanderError) {
    // Already printed, be it an error or the help that was asked for.
    process.exitCode = error.exitCode;
  } else {
    report(error);
    process.exitCode = 1;
  }
}
