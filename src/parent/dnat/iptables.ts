/** The output of `iptables -S` and `ip6tables -S`: iptables(8), iptables-extensions(8). */

import { isIP } from 'node:net';
import { type Transport, TRANSPORTS } from '../../msg/port.js';
import { type DnatRule, parseAddress, parsePort, parseTargetIP } from './rule.js';

/** No rule is longer by far: a comment has 255 bytes at most, xt_comment.h. */
const MAX_LINE_LENGTH = 4096;

/** Comments stand in double quotes, with a backslash before each quote and backslash in them. */
const WORD = String.raw`(?:"(?:\\.|[^"\\])*"|[^\s"]+)`;
const WORDS = new RegExp(WORD, 'g');
const LINE = new RegExp(`^${WORD}(?: ${WORD})*$`);

interface Fields {
  proto?: Transport | undefined;
  ip?: string | undefined;
  port?: number | undefined;
  target?: string | undefined;
}

/** Takes an option's value; false where the rule is not for us or can't be understood. */
type Option = (fields: Fields, value: string) => boolean;

const OPTIONS: Readonly<Record<string, Option>> = {
  '-p': (fields, value) => {
    fields.proto = TRANSPORTS.find((proto) => proto === value);
    return fields.proto !== undefined;
  },
  '-d': (fields, value) => {
    fields.ip = parseHost(value);
    return fields.ip !== undefined;
  },
  '--dport': (fields, value) => {
    fields.port = parsePort(value);
    return fields.port !== undefined;
  },
  '-m': (_, value) => ['tcp', 'udp', 'sctp', 'comment', 'addrtype'].includes(value),
  '--comment': () => true,
  '--dst-type': (_, value) => value === 'LOCAL',
  '-j': (_, value) => value === 'DNAT',
  '--to-destination': (fields, value) => {
    fields.target = value;
    return true;
  },
};

/** dockerd's: not from the container's own network, and not from a link-local address. */
const NEGATED_OPTIONS: Readonly<Record<string, Option>> = {
  '-i': () => true,
  '-s': (_, value) => value === 'fe80::/10',
};

/** The DNAT rules that are understood; everything else is left out. Never throws. */
export function parseIptables(text: string): DnatRule[] {
  return text.split('\n').flatMap((line) => parseLine(line) ?? []);
}

function parseLine(line: string): DnatRule | undefined {
  const [command, , ...words] = splitWords(line) ?? [];
  if (command !== '-A') return undefined;
  const fields: Fields = {};
  for (let at = 0; at < words.length; at += 2) {
    const isNegated = words[at] === '!';
    if (isNegated) at += 1;
    const options = isNegated ? NEGATED_OPTIONS : OPTIONS;
    const name = words[at] ?? '';
    const value = words[at + 1];
    const option = Object.hasOwn(options, name) ? options[name] : undefined;
    if (value === undefined || !option?.(fields, value)) return undefined;
  }
  return toRule(fields);
}

function toRule({ proto, ip, port, target }: Fields): DnatRule | undefined {
  if (proto === undefined || port === undefined || target === undefined) return undefined;
  const address = parseDestination(target, port);
  if (address === undefined) return undefined;
  return { proto, port, target: address, ...(ip !== undefined && { ip }) };
}

function splitWords(line: string): string[] | null {
  return line.length <= MAX_LINE_LENGTH && LINE.test(line) ? line.match(WORDS) : null;
}

/** `ADDRESS`, or with the prefix length of a single address. */
function parseHost(text: string): string | undefined {
  const [address = '', length] = text.split('/');
  const whole = isIP(address) === 4 ? '32' : '128';
  return length === undefined || length === whole ? parseAddress(address) : undefined;
}

/** `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`; ranges of either are not for us. */
function parseDestination(text: string, samePort: number): DnatRule['target'] | undefined {
  const match = /^(?:\[(.+)\]|([^:]+))(?::(\d+))?$/.exec(text);
  const ip = parseTargetIP(match?.[1] ?? match?.[2] ?? text);
  const port = match?.[3] === undefined ? samePort : parsePort(match[3]);
  return ip === undefined || port === undefined ? undefined : { ip, port };
}
