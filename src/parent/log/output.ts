/**
 * Where log lines go: standard error. Under systemd that is the journal, which has the time itself
 * and takes the priority from a prefix: sd-daemon(3).
 */
import { fstatSync, writeSync } from 'node:fs';
import type { Level } from '../events/event.js';

const STDERR = 2;

/** syslog(3). */
const PRIORITIES: Readonly<Record<Level, number>> = { error: 3, warn: 4, info: 6, debug: 7 };

/** Not by process.stderr, whose error ends the process once nobody reads there. */
export function writeLine(line: string): void {
  try {
    writeSync(STDERR, `${line}\n`);
  } catch {
    // There is nobody to tell.
  }
}

export function journalPrefix(level: Level): string {
  return `<${PRIORITIES[level]}>`;
}

/** systemd.exec(5), $JOURNAL_STREAM: device and inode of the journal's end, which may not be ours. */
export function isJournal(env: Readonly<Record<string, string | undefined>>): boolean {
  const { JOURNAL_STREAM: stream } = env;
  if (stream === undefined) return false;
  try {
    const { dev, ino } = fstatSync(STDERR);
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}
