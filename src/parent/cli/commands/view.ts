/** The commands that watch a running driver. */
import type { Command } from 'commander';
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
}
