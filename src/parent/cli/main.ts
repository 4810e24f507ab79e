#!/usr/bin/env node
/** The command line. Each command's code is loaded only when it is called. */
import { Command, CommanderError } from 'commander';
import { VERSION } from '../api/version.js';
import { addApiCommands, socketOption } from './commands/api.js';
import { addLaunchCommands } from './commands/launch.js';
import { addPluginCommand } from './commands/plugin.js';
import { addProbeCommand } from './commands/probe.js';
import { addSetupCommands } from './commands/setup.js';
import { oneLine, report } from './report.js';

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
  addPluginCommand(program);
  addSetupCommands(program, exitWith);
  addProbeCommand(program, exitWith);
  return program;
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
