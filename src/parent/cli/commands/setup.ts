/** The commands that look at the machine, and set an engine up. */
import { Argument, type Command } from 'commander';
import { ENGINE_NAMES, type EngineName } from '../../install/engine.js';
import { example } from './text.js';

interface InstallOptions {
  readonly dryRun?: true;
}

export function addSetupCommands(program: Command, exitWith: (code: number) => void): void {
  example(program.command('doctor'), 'sluice doctor')
    .description('Check everything that publishing ports needs, each with a remedy')
    .option('--json', 'print JSON')
    .action(async (options: { readonly json?: true }) => {
      const { doctor } = await import('../doctor.js');
      exitWith(await doctor(options));
    });
  installCommand(program, 'install', 'sluice install docker --dry-run')
    .description('Have rootless Docker, or containerd (nerdctl), publish its ports through sluice')
    .action(async (engine: EngineName, options: InstallOptions) => {
      const { install } = await import('../install.js');
      install(engine, options);
    });
  installCommand(program, 'uninstall', 'sluice uninstall docker')
    .description('Take away what install made')
    .action(async (engine: EngineName, options: InstallOptions) => {
      const { uninstall } = await import('../install.js');
      uninstall(engine, options);
    });
}

function installCommand(program: Command, name: string, exampleLine: string): Command {
  return example(program.command(name), exampleLine)
    .addArgument(new Argument('<engine>', 'whose ports').choices(ENGINE_NAMES))
    .option('--dry-run', 'only show what would change');
}
