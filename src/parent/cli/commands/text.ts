/** What the help of several commands says. */
import type { Command } from 'commander';

export const SPEC_FORM = '[parentIP:]parentPort:[childIP:]childPort/proto, IPv6 in brackets';

export function example(command: Command, line: string): Command {
  return command.addHelpText('after', `\nExample:\n  ${line}`);
}
