/** Checks of what another process sent: a field is what it should be, or the message is refused. */

import { SluiceError } from './errors.js';

export const MAX_TEXT_LENGTH = 4096;
/** A refused value is shown up to here. */
const MAX_SHOWN_CHARS = 80;

export type Fields = Readonly<Record<string, unknown>>;

export function fieldsOf(value: unknown, name: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw invalid(name, value, 'a map');
}

export function integer(
  fields: Fields,
  key: string,
  least = 0,
  most = Number.MAX_SAFE_INTEGER,
): number {
  const value = fields[key];
  if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) {
    return value as number;
  }
  throw invalid(key, value, `an integer from ${least} to ${most}`);
}

/**
 * What has been counted: above 2^53, which a port's bytes may reach in a year, it is rounded to what
 * a double holds.
 */
export function count(fields: Fields, key: string): number {
  const value = fields[key];
  if (Number.isInteger(value) && (value as number) >= 0) return value as number;
  throw invalid(key, value, 'an integer of 0 or more');
}

export function flag(fields: Fields, key: string): boolean {
  const value = fields[key];
  if (typeof value === 'boolean') return value;
  throw invalid(key, value, 'true or false');
}

export function text(fields: Fields, key: string): string {
  const value = fields[key];
  if (typeof value === 'string' && value.length <= MAX_TEXT_LENGTH) return value;
  throw invalid(key, value, `a string of at most ${MAX_TEXT_LENGTH} characters`);
}

export function unknownType(fields: Fields): SluiceError {
  return invalid('type', fields['type'], 'a message type of this protocol version');
}

export function invalid(key: string, value: unknown, expected: string): SluiceError {
  return new SluiceError(
    'ERR_MESSAGE',
    `invalid message: ${key} is ${shown(value)}, expected ${expected}`,
  );
}

/** msgpack has values that JSON lacks, and depths that it can't take: those are only named. */
function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, MAX_SHOWN_CHARS));
  if (typeof value === 'bigint') return 'a bigint';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return typeof value === 'object' && value !== null ? 'a map' : String(value);
}
