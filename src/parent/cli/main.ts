/** The command line. Each command's code is loaded only when it is called. */
import { CommanderError } from 'commander';
import { createProgram } from './program.js';
import { report } from './report.js';
import { endWithReader } from './terminal.js';

/** Resolves with the exit code: that of the command that was run, else 0, or 1 after an error. */
async function main(args: readonly string[]): Promise<number> {
  const [name, first] = args;
  // Every argument belongs to rootlesskit, "--" included, which commander would take away.
  if (name === 'rootlesskit' && first !== '--help' && first !== '-h') {
    const { launchRootlesskit } = await import('../launcher/rootlesskit.js');
    return launchRootlesskit(args.slice(1));
  }
  // These go on, whoever reads what the command inside says.
  if (name !== 'run' && name !== 'attach') endWithReader();
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

function exitCodeOf(error: unknown): number {
  // Already printed, be it an error or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode;
  report(error);
  return 1;
}

void main(process.argv.slice(2))
  .catch(exitCodeOf)
  .then((exitCode) => {
    process.exitCode = exitCode;
  });
