/**
 * Port specs: from text as on rootlesskit's command line, and from JSON as on its API.
 *
 * Grammar: RootlessKit `pkg/port/portutil`, with a parent IP that may be left out altogether.
 * Both ways in go through one check, so a command and a request are refused with the same words.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { SluiceError } from './errors.js';
import { PROTOS, type Spec } from './port.js';
import { parseIP, unmapped } from './sockaddr.js';

const GRAMMAR =
  '[parentIP:]parentPort:[childIP:]childPort/proto, IPv6 addresses in brackets, for example 127.0.0.1:8080:80/tcp';
/** A refused value is shown up to here: it may be as long as a whole request. */
const MAX_SHOWN_CHARS = 80;

const EXPECTED: Readonly<Record<string, string>> = {
  proto: `one of ${PROTOS.join(', ')}`,
  parentIP: 'an IPv4 or IPv6 address',
  parentPort: 'an integer from 1 to 65535',
  childIP: 'an IPv4 or IPv6 address',
  childPort: 'an integer from 1 to 65535',
};

const isAddressText = (value: unknown) => value === undefined || typeof value === 'string';
const isPort = (value: unknown) =>
  Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 65535;

/** In the key order of RootlessKit's JSON, which is that of the result. */
const CHECKS: Readonly<Record<keyof Spec, (value: unknown) => boolean>> = {
  proto: (value) => PROTOS.some((proto) => proto === value),
  parentIP: isAddressText,
  parentPort: isPort,
  childPort: isPort,
  childIP: isAddressText,
};

/**
 * Checks a Spec that came from outside.
 *
 * Known keys come back exactly as they were sent: callers match on them. Unknown ones are dropped,
 * as RootlessKit does: echoing them would claim that they are honoured.
 *
 * @throws SluiceError ERR_SPEC, naming the key, the value seen and what was expected.
 */
export function validateSpec(value: unknown): Spec {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new SluiceError('ERR_SPEC', `invalid spec: ${show(value)}, expected an object`);
  }
  const fields = Object.entries(CHECKS).flatMap(([key, isValid]) => {
    const seen: unknown = Reflect.get(value, key);
    if (isValid(seen)) return seen === undefined ? [] : [[key, seen]];
    const what = seen === undefined ? `missing ${key}` : `invalid ${key}: ${show(seen)}`;
    throw new SluiceError('ERR_SPEC', `${what}, expected ${EXPECTED[key]}`);
  });
  const spec = Object.fromEntries(fields) as Spec;
  const problem = addressProblem(spec);
  if (problem !== undefined) throw new SluiceError('ERR_SPEC', problem);
  return spec;
}

/**
 * Parses `[parentIP:]parentPort:[childIP:]childPort/proto`, IPv6 addresses in brackets.
 *
 * An empty parentIP, as in `:8080:80/tcp`, is an absent one, as in rootlesskit.
 *
 * @throws SluiceError ERR_SPEC
 */
export function parsePortSpec(text: string): Spec {
  try {
    return validateSpec(splitPortSpec(text));
  } catch (error) {
    if (error instanceof SluiceError) {
      throw new SluiceError('ERR_SPEC', `bad port spec ${show(text)}: ${error.message}`);
    }
    throw error;
  }
}

/** The inverse of parsePortSpec. */
export function formatPortSpec(spec: Spec): string {
  const parent = `${addressPrefix(spec.parentIP)}${spec.parentPort}`;
  return `${parent}:${addressPrefix(spec.childIP)}${spec.childPort}/${spec.proto}`;
}

function splitPortSpec(text: string): Record<string, unknown> {
  const slash = text.lastIndexOf('/');
  if (slash < 0) {
    throw new SluiceError('ERR_SPEC', `missing proto, expected ${GRAMMAR}`);
  }
  // Colons outside of brackets.
  const fields = text.slice(0, slash).split(/:(?![^[]*\])/);
  // Three fields leave one address out: the first is a port when it is a number.
  if (fields.length === 2 || (fields.length === 3 && /^\d+$/.test(fields[0] ?? ''))) {
    fields.unshift('');
  }
  if (fields.length === 3) {
    fields.splice(2, 0, '');
  }
  if (fields.length !== 4) {
    throw new SluiceError(
      'ERR_SPEC',
      `${fields.length} fields between colons, expected ${GRAMMAR}`,
    );
  }
  const [parentIP, parentPort, childIP, childPort] = fields;
  return {
    proto: text.slice(slash + 1),
    ...address('parentIP', parentIP),
    parentPort: port(parentPort),
    ...address('childIP', childIP),
    childPort: port(childPort),
  };
}

function address(key: string, field = ''): Record<string, string> {
  return field === '' ? {} : { [key]: field.replace(/^\[(.*)\]$/, '$1') };
}

/** What is no number is left as it is, for the check to refuse and to show. */
function port(field = ''): string | number {
  return /^\d+$/.test(field) ? Number(field) : field;
}

function addressPrefix(ip = ''): string {
  if (ip === '') {
    return '';
  }
  return ip.includes(':') ? `[${ip}]:` : `${ip}:`;
}

function addressProblem(spec: Spec): string | undefined {
  const { proto, parentIP = '', childIP = '' } = spec;
  const problem = badAddress('parentIP', parentIP) ?? badAddress('childIP', childIP);
  if (problem !== undefined || parentIP === '') {
    return problem;
  }
  const family = isIPv4(unmapped(parentIP)) ? '4' : '6';
  if (/[46]$/.test(proto) && !proto.endsWith(family)) {
    const base = proto.slice(0, -1);
    return `invalid parentIP: ${show(parentIP)}, ${proto} needs an IPv${proto.slice(-1)} address; for this one use ${base}${family} or ${base}`;
  }
  return undefined;
}

/**
 * node:net is as strict as inet_pton; ipaddr.js alone would take forms that bind() won't, and knows
 * the ranges. A link-local parent address can only be bound with its zone (ipv6(7): sin6_scope_id);
 * a zone in childIP would name an interface of another namespace.
 */
function badAddress(key: 'parentIP' | 'childIP', ip: string): string | undefined {
  if (ip === '' || isIPv4(ip)) {
    return undefined;
  }
  const invalid = `invalid ${key}: ${show(ip)}`;
  if (!isIPv6(ip)) {
    return `${invalid}, expected ${EXPECTED[key]}`;
  }
  const parsed = parseIP(ip);
  const linkLocal = parsed.range() === 'linkLocal';
  if (key === 'childIP' && (linkLocal || ip.includes('%'))) {
    return `${invalid}, expected an address without a zone that is not link-local`;
  }
  if (linkLocal && !ip.includes('%')) {
    return `${invalid}, expected the interface too, for example ${ip}%eth0`;
  }
  if (!linkLocal && ip.includes('%')) {
    return `${invalid}, expected a zone on link-local addresses (fe80::/10) only`;
  }
  return undefined;
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > MAX_SHOWN_CHARS ? `${text.slice(0, MAX_SHOWN_CHARS)}...` : text;
}
