/** The command that asks an address whether somebody is there. */
import { type Command, Option } from 'commander';
import type { ProbeCommandOptions } from '../probe.js';
import { socketOption } from './api.js';
import { example } from './text.js';

export function addProbeCommand(program: Command, exitWith: (code: number) => void): void {
  example(program.command('probe'), 'sluice probe 8080')
    .description('Find out whether somebody answers, and why not; exits with 0 if so, else with 1')
    .argument('<target>', '[HOST:]PORT[/tcp|/udp|/sctp], a name or an address, IPv6 in brackets')
    .addOption(socketOption())
    .addOption(payloadOption('--text <text>', 'text to send', 'hex', 'file'))
    .addOption(payloadOption('--hex <digits>', 'bytes to send, in hexadecimal', 'text', 'file'))
    .addOption(payloadOption('--file <path>', 'a file to send', 'text', 'hex'))
    .option('--timeout <seconds>', 'how long to wait for the connection or the answer (default: 2)')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      [
        '',
        'Without a payload UDP sends a DNS query, and TCP and SCTP only connect.',
        'With an API, a port of this host is probed from inside as well, with the reason for no answer.',
        'A port without a host is probed wherever it is published.',
      ].join('\n'),
    )
    .action(async (target: string, _: unknown, command: Command) => {
      const { showProbe } = await import('../probe.js');
      exitWith(await showProbe(target, command.optsWithGlobals<ProbeCommandOptions>()));
    });
}

function payloadOption(flags: string, words: string, ...others: string[]): Option {
  return new Option(flags, words).conflicts(others);
}
