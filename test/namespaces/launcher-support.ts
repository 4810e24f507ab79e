import { dirname } from 'node:path';
import { allPids, processStat } from '../../dist/parent/proc.js';
import { type Cleanup, temporaryFolder } from '../harness/cleanup.js';
import { type Answer, ask } from '../harness/http.js';
import { pathWith } from '../harness/paths.js';
import { type Program, type StartOptions, start } from '../harness/processes.js';
import { commandsFolder } from '../harness/sluice.js';

export const DEADLINE_MS = 30_000;

/** Starts a command with our programs first on the PATH, and the folder of `real` after them. */
export function launch(
  cleanup: Cleanup,
  command: readonly string[],
  real: string,
  options: StartOptions = {},
): Promise<Program> {
  const env = {
    PATH: pathWith(commandsFolder(cleanup), dirname(real)),
    // A rootlesskit that refuses its arguments leaves a state directory there.
    TMPDIR: temporaryFolder(cleanup),
    ...options.env,
  };
  return start(cleanup, command, { ...options, env });
}

/** The first answer through a port that is about to be published. */
export function answerThrough(program: Program, port: number): Promise<Answer> {
  return program.until(
    () => ask({ host: '127.0.0.1', port, path: '/' }).catch(() => undefined),
    DEADLINE_MS,
    'an answer through the published port',
  );
}

export function childNamed(parent: number, name: string): number {
  for (const pid of allPids()) {
    try {
      const stat = processStat(pid);
      if (stat.parentPid === parent && stat.name === name) return pid;
    } catch {
      // Ended meanwhile.
    }
  }
  throw new Error(`process ${parent} has no child named ${name}`);
}
