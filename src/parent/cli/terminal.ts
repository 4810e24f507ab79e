/** Text for a terminal, or for whoever reads our output instead. */
import { complain } from './report.js';

/**
 * Whoever reads our output may leave (`| head`): there is nothing left to do then, and nothing to
 * be said. Output that can't be written for another reason, such as a full disk, is told.
 */
export function endWithReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    complain(`cannot write the output: ${error.message}`);
    process.exit(1);
  });
  process.stderr.on('error', () => {});
}

/** Without control characters: what servers and tools said could move a terminal's cursor. */
export function printable(text: string): string {
  return text.replaceAll(/\p{C}+/gu, ' ');
}

/** The local time of day of an ISO 8601 time. */
export function clock(time: string): string {
  return new Date(time).toTimeString().slice(0, 8);
}
