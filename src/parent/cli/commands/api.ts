/** The commands that talk to a running driver. */
import { type Command, Option } from 'commander';
import { example, SPEC_FORM } from './text.js';

interface ApiOptions {
  readonly socket?: string;
  readonly json?: true;
}

interface ReloadOptions extends ApiOptions {
  readonly drainLimit: string;
}

export function addApiCommands(program: Command): void {
  apiCommand(program, 'add-ports', 'sluice add-ports 127.0.0.1:8080:80/tcp')
    .description('Publish ports, and print their ids')
    .argument('<spec...>', SPEC_FORM)
    .action(async (specs: string[], _: unknown, command: Command) => {
      const { addPorts } = await import('../ports.js');
      await addPorts(specs, command.optsWithGlobals<ApiOptions>());
    });
  apiCommand(program, 'list-ports', 'sluice list-ports --json')
    .description('List the published ports')
    .action(async (_: unknown, command: Command) => {
      const { listPorts } = await import('../ports.js');
      await listPorts(command.optsWithGlobals<ApiOptions>());
    });
  apiCommand(program, 'remove-ports', 'sluice remove-ports 1 2')
    .description('Remove published ports by their ids, and print those')
    .argument('<id...>', 'as printed by add-ports and list-ports')
    .action(async (ids: string[], _: unknown, command: Command) => {
      const { removePorts } = await import('../ports.js');
      await removePorts(ids, command.optsWithGlobals<ApiOptions>());
    });
  apiCommand(program, 'info', 'sluice info')
    .description('Show what runs: versions, state directory, drivers')
    .action(async (_: unknown, command: Command) => {
      const { showInfo } = await import('../info.js');
      await showInfo(command.optsWithGlobals<ApiOptions>());
    });
  example(program.command('reload'), 'sluice reload')
    .description('Replace the running port driver by the installed version; connections go on')
    .addOption(socketOption())
    .option('--drain-limit <seconds>', 'how long existing connections may go on', '3600')
    .action(async (_: unknown, command: Command) => {
      const { reload } = await import('../reload.js');
      await reload(command.optsWithGlobals<ReloadOptions>());
    });
}

function apiCommand(program: Command, name: string, exampleLine: string): Command {
  const command = example(program.command(name), exampleLine).addOption(socketOption());
  return name === 'remove-ports' ? command : command.option('--json', 'print JSON');
}

export function socketOption(): Option {
  return new Option(
    '--socket <path>',
    'the API (default: $ROOTLESSKIT_STATE_DIR/api.sock, or else the only one of this user)',
  );
}
