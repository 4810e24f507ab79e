/**
 * What the parent and the agent say to each other. Both open with `hello`; then the parent asks
 * and the agent answers every request once, in any order, with the request's number.
 *
 * `hello`, `takeBack`, `drain`, `quit` and their answers stay as they are in every version: with
 * them a parent of another version replaces an agent that it finds.
 *
 * Frames come from another process: `parseToAgent` and `parseToParent` take nothing on trust.
 */

import { type AgentPort, parseAgentPort, parseResolution, type Resolution } from './agent-port.js';
import { SluiceError } from './errors.js';
import { type Fields, fieldsOf, flag, integer, invalid, text, unknownType } from './fields.js';
import { type Flows, MAX_FLOWS, parseFlows } from './flows.js';
import { type FlowLimits, parseFlowLimits } from './overload.js';
import { type Transport, TRANSPORTS } from './port.js';
import { parsePortReports, type PortReport } from './port-stats.js';
import {
  type Aborted,
  parseAborted,
  parseRefused,
  parseShed,
  type Refused,
  type Shed,
} from './reports.js';
import { type AgentStats, parseAgentStats } from './stats.js';
import { parseUdpTimeouts, type UdpTimeouts } from './udp-timeouts.js';

/** Changes whenever a message changes its meaning. Both sides must have the same. */
export const PROTOCOL_VERSION = 7;

/** Host sockets of one port: one per family at present. */
export const MAX_FDS_PER_MESSAGE = 16;

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

export interface AgentHello extends Hello {
  /** What the agent can make sockets of. */
  readonly transports: readonly Transport[];
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
  /** Those with ids above `after`, the lowest first; fewer than MAX_PORTS_PER_MESSAGE are the last. */
  | { readonly type: 'portStats'; readonly request: number; readonly after: number }
  /** The flows of one port, which the agent needn't have; `most` is 1 to MAX_FLOWS. */
  | {
      readonly type: 'flows';
      readonly request: number;
      readonly id: number;
      readonly most: number;
    }
  | { readonly type: 'sourceFamilies'; readonly request: number; readonly families: SourceFamilies }
  | { readonly type: 'udpTimeouts'; readonly request: number; readonly timeouts: UdpTimeouts }
  | { readonly type: 'limits'; readonly request: number; readonly limits: FlowLimits }
  /** Answered by a `port` for each port, then `done`. */
  | { readonly type: 'takeBack'; readonly request: number }
  /** No new work; ends once the last flow has ended, at the latest after `limitMs`. */
  | { readonly type: 'drain'; readonly request: number; readonly limitMs: number }
  /** Ends at once. A parent that goes without it leaves an agent that goes on. */
  | { readonly type: 'quit' }
  /** Answers `resolve`. */
  | ({ readonly type: 'targets'; readonly id: number } & Resolution);

export type ToParent =
  | AgentHello
  | { readonly type: 'resolve'; readonly id: number }
  | Shed
  | Refused
  | Aborted
  | { readonly type: 'done'; readonly request: number }
  | {
      readonly type: 'port';
      readonly request: number;
      readonly id: number;
      readonly spec: string;
      readonly fds: number;
    }
  | {
      readonly type: 'failed';
      readonly request: number;
      readonly code: string;
      readonly message: string;
    }
  | { readonly type: 'stats'; readonly request: number; readonly stats: AgentStats }
  | {
      readonly type: 'portStats';
      readonly request: number;
      readonly ports: readonly PortReport[];
    }
  | ({ readonly type: 'flows'; readonly request: number } & Flows);

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
        port: parseAgentPort(fieldsOf(fields['port'], 'port')),
      };
    case 'removePort':
      return {
        type: 'removePort',
        request: integer(fields, 'request'),
        id: integer(fields, 'id', 1),
      };
    case 'stats':
      return { type: 'stats', request: integer(fields, 'request') };
    case 'portStats':
      return {
        type: 'portStats',
        request: integer(fields, 'request'),
        after: integer(fields, 'after'),
      };
    case 'flows':
      return {
        type: 'flows',
        request: integer(fields, 'request'),
        id: integer(fields, 'id', 1),
        most: integer(fields, 'most', 1, MAX_FLOWS),
      };
    case 'sourceFamilies':
      return {
        type: 'sourceFamilies',
        request: integer(fields, 'request'),
        families: sourceFamilies(fieldsOf(fields['families'], 'families')),
      };
    case 'udpTimeouts':
      return {
        type: 'udpTimeouts',
        request: integer(fields, 'request'),
        timeouts: parseUdpTimeouts(fieldsOf(fields['timeouts'], 'timeouts')),
      };
    case 'limits':
      return {
        type: 'limits',
        request: integer(fields, 'request'),
        limits: parseFlowLimits(fieldsOf(fields['limits'], 'limits')),
      };
    case 'takeBack':
      return { type: 'takeBack', request: integer(fields, 'request') };
    case 'drain':
      return {
        type: 'drain',
        request: integer(fields, 'request'),
        limitMs: integer(fields, 'limitMs'),
      };
    case 'quit':
      return { type: 'quit' };
    case 'targets':
      return { type: 'targets', id: integer(fields, 'id', 1), ...parseResolution(fields) };
    default:
      throw unknownType(fields);
  }
}

export function parseToParent(value: unknown): ToParent {
  const fields = fieldsOf(value, 'message');
  switch (fields['type']) {
    case 'hello':
      return agentHello(fields);
    case 'resolve':
      return { type: 'resolve', id: integer(fields, 'id', 1) };
    case 'shed':
      return parseShed(fields);
    case 'refused':
      return parseRefused(fields);
    case 'aborted':
      return parseAborted(fields);
    case 'done':
      return { type: 'done', request: integer(fields, 'request') };
    case 'port':
      return {
        type: 'port',
        request: integer(fields, 'request'),
        id: integer(fields, 'id', 1),
        spec: text(fields, 'spec'),
        fds: integer(fields, 'fds', 1, MAX_FDS_PER_MESSAGE),
      };
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
        stats: parseAgentStats(fieldsOf(fields['stats'], 'stats')),
      };
    case 'portStats':
      return {
        type: 'portStats',
        request: integer(fields, 'request'),
        ports: parsePortReports(fields['ports']),
      };
    case 'flows':
      return { type: 'flows', request: integer(fields, 'request'), ...parseFlows(fields) };
    default:
      throw unknownType(fields);
  }
}

/** How many fds a raw message claims to bring: needed to close them even if it turns out invalid. */
export function fdsOf(value: unknown): number {
  const fds = typeof value === 'object' && value !== null && 'fds' in value ? value.fds : 0;
  return typeof fds === 'number' ? fds : 0;
}

/** Throws for a peer with which only the messages that never change can be exchanged. */
export function checkVersion({ version }: Hello): void {
  if (version === PROTOCOL_VERSION) return;
  throw new SluiceError(
    'ERR_PROTOCOL_VERSION',
    `the other side speaks protocol version ${version}, this one ${PROTOCOL_VERSION}; ` +
      'run `sluice reload` so that parent and agent come from one installation',
  );
}

function hello(fields: Fields): Hello {
  return { type: 'hello', version: integer(fields, 'version'), pid: integer(fields, 'pid', 1) };
}

function agentHello(fields: Fields): AgentHello {
  const greeting = hello(fields);
  const given = fields['transports'];
  if (!Array.isArray(given)) throw invalid('transports', given, 'a list');
  return { ...greeting, transports: TRANSPORTS.filter((name) => given.includes(name)) };
}

function sourceFamilies(fields: Fields): SourceFamilies {
  return { ipv4: flag(fields, 'ipv4'), ipv6: flag(fields, 'ipv6') };
}
