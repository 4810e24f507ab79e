import { inspect } from 'node:util';
import { messageOf } from '../../msg/errors.js';

/** One line on stderr; with SLUICE_DEBUG=1 the stack and the causes, too. */
export function report(error: unknown): void {
  complain(messageOf(error));
  if (process.env['SLUICE_DEBUG'] === '1') {
    process.stderr.write(`${inspect(error)}\n`);
  }
}

export function complain(text: string): void {
  process.stderr.write(`sluice: ${oneLine(text)}\n`);
}

/** Without commander's own prefix and line breaks. */
export function oneLine(text: string): string {
  return text
    .replace(/^error: /, '')
    .trim()
    .replaceAll(/\s*\n\s*/g, ' ');
}
