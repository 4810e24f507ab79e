import { Cleanup } from '../../harness/cleanup.js';
import { type StartOptions, start } from '../../harness/processes.js';

export interface Output {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, whatever that is. */
export async function outputOf(
  command: readonly string[],
  options?: StartOptions,
): Promise<Output> {
  const cleanup = new Cleanup();
  try {
    const program = await start(cleanup, command, options);
    const { code } = await program.exited(30_000);
    return { code, stdout: program.stdout, stderr: program.stderr };
  } finally {
    await cleanup.run();
  }
}
