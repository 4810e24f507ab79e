/** The tree of commands: what --help, the man pages and shell completion are made of. */
import { Command } from 'commander';
import { VERSION } from '../api/version.js';
import { addApiCommands, socketOption } from './commands/api.js';
import { addCompletionCommands } from './commands/completion.js';
import { addLaunchCommands } from './commands/launch.js';
import { addPluginCommand } from './commands/plugin.js';
import { addProbeCommand } from './commands/probe.js';
import { addSetupCommands } from './commands/setup.js';
import { addViewCommands } from './commands/view.js';
import { oneLine } from './report.js';

export function createProgram(exitWith: (code: number) => void): Command {
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
  addViewCommands(program);
  addSetupCommands(program, exitWith);
  addProbeCommand(program, exitWith);
  addCompletionCommands(program);
  return program;
}
