/** The command that serves engines as a plugin of theirs. */
import type { Command } from 'commander';
import { socketOption } from './api.js';
import { example } from './text.js';

interface PluginOptions {
  readonly socket?: string;
  readonly listen?: string;
}

export function addPluginCommand(program: Command): void {
  example(program.command('portmapper'), 'sluice portmapper')
    .description('Serve a running driver as a Docker plugin that chooses host ports')
    .addOption(socketOption())
    .option(
      '--listen <path>',
      "the plugin's socket (default: /run/docker/plugins/sluice.sock in the child's mount namespace)",
    )
    .action(async (_: unknown, command: Command) => {
      const { servePortMapper } = await import('../portmapper.js');
      await servePortMapper(command.optsWithGlobals<PluginOptions>());
    });
}
