/** Text for a terminal, or for whoever reads our output instead. */

/** Whoever reads our output may leave (`| head`): there is nothing left to do then. */
export function endWithReader(): void {
  process.stdout.on('error', () => process.exit(0));
}

/** Without control characters: what servers and tools said could move a terminal's cursor. */
export function printable(text: string): string {
  return text.replaceAll(/\p{C}+/gu, ' ');
}

/** The local time of day of an ISO 8601 time. */
export function clock(time: string): string {
  return new Date(time).toTimeString().slice(0, 8);
}
