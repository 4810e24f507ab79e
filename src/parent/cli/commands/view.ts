/** The commands that look at a running driver. */
import { type Command, Option } from 'commander';
import type { TopOptions } from '../top/top.js';
import { SORTS } from '../top/view.js';
import { socketOption } from './api.js';
import { example } from './text.js';

interface ViewOptions {
  readonly socket?: string;
  readonly json?: true;
}

export function addViewCommands(program: Command): void {
  example(program.command('events'), 'sluice events --json | jq .type')
    .description('Show what happens, as it happens: ports, refusals, agents, limits')
    .addOption(socketOption())
    .option('--json', 'print a JSON object a line')
    .action(async (_: unknown, command: Command) => {
      const { showEvents } = await import('../events.js');
      await showEvents(command.optsWithGlobals<ViewOptions>());
    });
  example(program.command('flows'), 'sluice flows 1 --json | jq .flows[].client.ip')
    .description('Show the connections, sessions or associations of a port, the largest first')
    .argument('<id>', 'as printed by add-ports and list-ports')
    .addOption(socketOption())
    .option('--json', 'print JSON')
    .action(async (id: string, _: unknown, command: Command) => {
      const { listFlows } = await import('../flows.js');
      await listFlows(id, command.optsWithGlobals<ViewOptions>());
    });
  example(program.command('top'), 'sluice top --sort out')
    .description('Show ports, flows, bytes and agents, once a second')
    .addOption(socketOption())
    .option('--once', 'print it once, as a table')
    .option('--json', 'print a JSON object a line')
    .addOption(new Option('--sort <by>', 'what comes first (default: id)').choices(SORTS))
    .option('--filter <text>', 'only ports with this text in their spec')
    .action(async (_: unknown, command: Command) => {
      const { showTop } = await import('../top/top.js');
      await showTop(command.optsWithGlobals<TopOptions>());
    });
}
