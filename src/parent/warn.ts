import { writeSync } from 'node:fs';

const STDERR = 2;

/** A line on stderr. Not by process.stderr, whose error ends the process once nobody reads there. */
export function warn(text: string): void {
  try {
    writeSync(STDERR, `sluice: ${text}\n`);
  } catch {
    // There is nobody to tell.
  }
}
