/** The commands for shells: one prints a script, which calls the other at every press of the key. */
import { Argument, type Command } from 'commander';
import { SHELLS, type Shell } from '../completion/shells.js';
import { example } from './text.js';

export function addCompletionCommands(program: Command): void {
  example(program.command('completion'), 'sluice completion bash')
    .description('Print a script for a shell to complete commands, options and their values')
    .addArgument(new Argument('<shell>', 'whose script').choices(SHELLS))
    .addHelpText('after', HINT)
    .action(async (shell: Shell) => {
      const { scriptOf } = await import('../completion/shells.js');
      process.stdout.write(scriptOf(shell));
    });
  program
    .command('complete', { hidden: true })
    .argument('[word...]', 'what was typed after "sluice", up to the cursor')
    .action(async (words: string[]) => {
      const { complete } = await import('../completion/complete.js');
      process.stdout.write(
        complete(program, words)
          .map((line) => `${line}\n`)
          .join(''),
      );
    });
}

const HINT = `
To have it in every new shell:
  bash  echo 'eval "$(sluice completion bash)"' >>~/.bashrc
  zsh   echo 'autoload -U compinit && compinit; eval "$(sluice completion zsh)"' >>~/.zshrc
  fish  echo 'sluice completion fish | source' >>~/.config/fish/config.fish`;
