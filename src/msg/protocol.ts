/**
 * What the parent and the agent say to each other. Both open with `hello`; then the parent asks
 * and the agent answers every request once, in any order, with the request's number.
 *
 * Frames come from another process: `parseToAgent` and `parseToParent` take nothing on trust.
 */

import ipaddr from 'ipaddr.js';
import { SluiceError } from './errors.js';
import { PROTOS, type Proto } from './port.js';
import type { Address } from './sockaddr.js';

/** Changes whenever a message changes its meaning. Both sides must have the same. */
export const PROTOCOL_VERSION = 1;

/** Host sockets of one port: one per family at present. */
export const MAX_FDS_PER_MESSAGE = 16;
const MAX_DIAL_ADDRESSES = 16;
const MAX_TEXT_LENGTH = 4096;
/** A refused value is shown up to here. */
const MAX_SHOWN_CHARS = 80;

/** What the agent needs to know of a port; its listening sockets come along as fds. */
export interface AgentPort {
  readonly id: number;
  readonly proto: Proto;
  /** Where to connect to: each is tried when the one before it refuses. Never empty. */
  readonly dial: readonly Address[];
  /** The engine may have a DNAT rule for `dial`: ask with `resolve` at the first flow. */
  readonly mayHaveRule: boolean;
}

/** For which families the agent may take the client's address as its own towards the server. */
export interface SourceFamilies {
  readonly ipv4: boolean;
  readonly ipv6: boolean;
}

export interface Hello {
  readonly type: 'hello';
  readonly version: number;
  readonly pid: number;
}

export type ToAgent =
  | Hello
  | {
      readonly type: 'addPort';
      readonly request: number;
      readonly fds: number;
      readonly port: AgentPort;
    }
  | { readonly type: 'removePort'; readonly request: number; readonly id: number }
  | { readonly type: 'stats'; readonly request: number }
  | { readonly type: 'sourceFamilies'; readonly request: number; readonly families: SourceFamilies }
  /** Answers `resolve`. */
  | ({ readonly type: 'targets'; readonly id: number } & Resolution);

/** Where the flows of a port should go. */
export interface Resolution {
  /** Containers, to be dialled before the port's own addresses. May be empty. */
  readonly targets: readonly Address[];
  /** The port's own addresses are a proxy's, for the same containers: there is no use in dialling it. */
  readonly isProxied: boolean;
  /** 127.0.0.1 and ::1 lead to the same server: either may be dialled first. */
  readonly isDualStack: boolean;
}

/** Counters of an agent since its start. */
export interface AgentStats {
  readonly ports: number;
  readonly flows: number;
  readonly accepted: number;
  readonly refused: number;
  readonly shed: number;
  readonly pipes: number;
  /** Flows that reached the server under the client's own address. */
  readonly sourceKept: number;
  /** Flows that could not, by reason. */
  readonly sourceLost: Readonly<Record<SourceLoss, number>>;
}

/**
 * Why a flow goes without its client's address: `disabled` in this namespace; a `loopback` client;
 * client and server of different `family`; the client's address lies in a network of the child
 * namespace, so that replies would stay there (`overlap`); the kernel `refused` the address.
 */
export const SOURCE_LOSSES = ['disabled', 'loopback', 'family', 'overlap', 'refused'] as const;

export type SourceLoss = (typeof SOURCE_LOSSES)[number];

export type ToParent =
  | Hello
  | { readonly type: 'resolve'; readonly id: number }
  | { readonly type: 'done'; readonly request: number }
  | {
      readonly type: 'failed';
      readonly request: number;
      readonly code: string;
      readonly message: string;
    }
  | { readonly type: 'stats'; readonly request: number; readonly stats: AgentStats };

type Fields = Readonly<Record<string, unknown>>;

export function parseToAgent(value: unknown): ToAgent {
  const fields = fieldsOf(value, 'message');
  switch (fields['type']) {
    case 'hello':
      return hello(fields);
    case 'addPort':
      return {
        type: 'addPort',
        request: integer(fields, 'request'),
        fds: integer(fields, 'fds', 1, MAX_FDS_PER_MESSAGE),
        port: agentPort(fieldsOf(fields['port'], 'port')),
      };
    case 'removePort':
      return {
        type: 'removePort',
        request: integer(fields, 'request'),
        id: integer(fields, 'id', 1),
      };
    case 'stats':
      return { type: 'stats', request: integer(fields, 'request') };
    case 'sourceFamilies':
      return {
        type: 'sourceFamilies',
        request: integer(fields, 'request'),
        families: sourceFamilies(fieldsOf(fields['families'], 'families')),
      };
    case 'targets':
      return {
        type: 'targets',
        id: integer(fields, 'id', 1),
        targets: addresses(fields, 'targets', 0),
        isProxied: flag(fields, 'isProxied'),
        isDualStack: flag(fields, 'isDualStack'),
      };
    default:
      throw unknownType(fields);
  }
}

export function parseToParent(value: unknown): ToParent {
  const fields = fieldsOf(value, 'message');
  switch (fields['type']) {
    case 'hello':
      return hello(fields);
    case 'resolve':
      return { type: 'resolve', id: integer(fields, 'id', 1) };
    case 'done':
      return { type: 'done', request: integer(fields, 'request') };
    case 'failed':
      return {
        type: 'failed',
        request: integer(fields, 'request'),
        code: text(fields, 'code'),
        message: text(fields, 'message'),
      };
    case 'stats':
      return {
        type: 'stats',
        request: integer(fields, 'request'),
        stats: agentStats(fieldsOf(fields['stats'], 'stats')),
      };
    default:
      throw unknownType(fields);
  }
}

/** How many fds a raw message claims to bring: needed to close them even if it turns out invalid. */
export function fdsOf(value: unknown): number {
  const fds = typeof value === 'object' && value !== null && 'fds' in value ? value.fds : 0;
  return typeof fds === 'number' ? fds : 0;
}

function hello(fields: Fields): Hello {
  const version = integer(fields, 'version');
  if (version !== PROTOCOL_VERSION) {
    throw new SluiceError(
      'ERR_PROTOCOL_VERSION',
      `the other side speaks protocol version ${version}, this one ${PROTOCOL_VERSION}; ` +
        'restart the driver so that parent and agent come from one installation',
    );
  }
  return { type: 'hello', version, pid: integer(fields, 'pid', 1) };
}

function agentPort(fields: Fields): AgentPort {
  const proto = PROTOS.find((name) => name === fields['proto']);
  if (proto === undefined) throw invalid('proto', fields['proto'], `one of ${PROTOS.join(', ')}`);
  return {
    id: integer(fields, 'id', 1),
    proto,
    dial: addresses(fields, 'dial', 1),
    mayHaveRule: flag(fields, 'mayHaveRule'),
  };
}

function addresses(fields: Fields, key: string, least: number): Address[] {
  const list = fields[key];
  if (Array.isArray(list) && list.length >= least && list.length <= MAX_DIAL_ADDRESSES) {
    return list.map((entry: unknown) => address(fieldsOf(entry, key)));
  }
  throw invalid(key, list, `${least} to ${MAX_DIAL_ADDRESSES} addresses`);
}

function sourceFamilies(fields: Fields): SourceFamilies {
  return { ipv4: flag(fields, 'ipv4'), ipv6: flag(fields, 'ipv6') };
}

function flag(fields: Fields, key: string): boolean {
  const value = fields[key];
  if (typeof value === 'boolean') return value;
  throw invalid(key, value, 'true or false');
}

function address(fields: Fields): Address {
  const ip = text(fields, 'ip');
  if (!ipaddr.isValid(ip)) throw invalid('ip', ip, 'an IPv4 or IPv6 address');
  return { ip, port: integer(fields, 'port', 1, 65535) };
}

function agentStats(fields: Fields): AgentStats {
  return {
    ports: integer(fields, 'ports'),
    flows: integer(fields, 'flows'),
    accepted: integer(fields, 'accepted'),
    refused: integer(fields, 'refused'),
    shed: integer(fields, 'shed'),
    pipes: integer(fields, 'pipes'),
    sourceKept: integer(fields, 'sourceKept'),
    sourceLost: sourceLost(fieldsOf(fields['sourceLost'], 'sourceLost')),
  };
}

function sourceLost(fields: Fields): Record<SourceLoss, number> {
  return {
    disabled: integer(fields, 'disabled'),
    loopback: integer(fields, 'loopback'),
    family: integer(fields, 'family'),
    overlap: integer(fields, 'overlap'),
    refused: integer(fields, 'refused'),
  };
}

function fieldsOf(value: unknown, name: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw invalid(name, value, 'a map');
}

function integer(fields: Fields, key: string, least = 0, most = Number.MAX_SAFE_INTEGER): number {
  const value = fields[key];
  if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) {
    return value as number;
  }
  throw invalid(key, value, `an integer from ${least} to ${most}`);
}

function text(fields: Fields, key: string): string {
  const value = fields[key];
  if (typeof value === 'string' && value.length <= MAX_TEXT_LENGTH) return value;
  throw invalid(key, value, `a string of at most ${MAX_TEXT_LENGTH} characters`);
}

function unknownType(fields: Fields): SluiceError {
  return invalid('type', fields['type'], 'a message type of this protocol version');
}

function invalid(key: string, value: unknown, expected: string): SluiceError {
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
