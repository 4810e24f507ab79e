/** What parent and agent say to each other about clients' addresses, and the checks of it. */

import { type Fields, fieldsOf, flag, integer, invalid, text } from './fields.js';
import { type Address, parseAddress } from './sockaddr.js';

/**
 * Why a server does not see a flow's client:
 *
 * - `disabled`: switched off, or not possible in this namespace, or SCTP over IPv4;
 * - `loopback`: the client is on the host's loopback, whose packets can't leave it;
 * - `family`: the client speaks IPv4 and the server IPv6, or the other way round;
 * - `overlap`: the client's address lies in the server's own network, where replies would stay;
 * - `local`: UDP or SCTP, and the server is a process of the namespace itself;
 * - `unreturned`: the container's routes, or its firewall, let no reply to such an address out;
 * - `refused`: the kernel refused the address.
 */
export const SOURCE_LOSSES = [
  'disabled',
  'loopback',
  'family',
  'overlap',
  'local',
  'unreturned',
  'refused',
] as const;

export type SourceLoss = (typeof SOURCE_LOSSES)[number];

/** What the agent does about clients' addresses. */
export interface SourcePolicy {
  /** The namespace is prepared for it: a socket may take a client's address of this family. */
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  /** A flow that can't have its client's address is refused (`--source-ip=require`). */
  readonly isRequired: boolean;
}

export function parseSourcePolicy(fields: Fields): SourcePolicy {
  return {
    ipv4: flag(fields, 'ipv4'),
    ipv6: flag(fields, 'ipv6'),
    isRequired: flag(fields, 'isRequired'),
  };
}

export const RETURN_VERDICTS = ['open', 'lost', 'shut', 'dead', 'unknown', 'failed'] as const;

/**
 * Whether replies to a client's address come back from a container: they do (`open`), its routes
 * send them elsewhere (`lost`), its firewall seems to let none to any foreign address out (`shut`),
 * nobody has the container's address (`dead`), nothing speaks against it (`unknown`), or it could not
 * be looked at (`failed`).
 */
export type ReturnVerdict = (typeof RETURN_VERDICTS)[number];

/** What was found out. `scope` says whether it holds for every client of the target. */
export interface ReturnPath {
  readonly verdict: ReturnVerdict;
  readonly scope: 'target' | 'client';
  /** For people. */
  readonly reason: string;
}

/** The agent's question, about a target of one of its ports and a client. */
export interface ReturnPathQuestion {
  readonly type: 'returnPath';
  readonly id: number;
  readonly target: Address;
  /** An IP address. */
  readonly client: string;
}

/** The parent's answer. */
export interface ReturnPathAnswer extends ReturnPath {
  readonly type: 'returnPath';
  /** IP addresses, as in the question. */
  readonly target: string;
  readonly client: string;
}

export function parseReturnPathQuestion(fields: Fields): ReturnPathQuestion {
  return {
    type: 'returnPath',
    id: integer(fields, 'id', 1),
    target: parseAddress(fieldsOf(fields['target'], 'target')),
    client: ip(fields, 'client'),
  };
}

export function parseReturnPathAnswer(fields: Fields): ReturnPathAnswer {
  const { verdict, scope } = fields;
  const known = RETURN_VERDICTS.find((one) => one === verdict);
  if (known === undefined) {
    throw invalid('verdict', verdict, `one of ${RETURN_VERDICTS.join(', ')}`);
  }
  if (scope !== 'target' && scope !== 'client') {
    throw invalid('scope', scope, 'target or client');
  }
  return {
    type: 'returnPath',
    target: ip(fields, 'target'),
    client: ip(fields, 'client'),
    verdict: known,
    scope,
    reason: text(fields, 'reason'),
  };
}

/** Once for each port, reason and outcome: the first flow that went without its client's address. */
export interface SourceLost {
  readonly type: 'sourceLost';
  readonly id: number;
  readonly loss: SourceLoss;
  /** The flow was refused because of it. */
  readonly isRefused: boolean;
  /** An IP address. */
  readonly client: string;
  readonly server: Address;
  /** More about the reason, for people; may be empty. */
  readonly detail: string;
}

export function parseSourceLost(fields: Fields): SourceLost {
  const { loss } = fields;
  const known = SOURCE_LOSSES.find((one) => one === loss);
  if (known === undefined) throw invalid('loss', loss, `one of ${SOURCE_LOSSES.join(', ')}`);
  return {
    type: 'sourceLost',
    id: integer(fields, 'id', 1),
    loss: known,
    isRefused: flag(fields, 'isRefused'),
    client: ip(fields, 'client'),
    server: parseAddress(fieldsOf(fields['server'], 'server')),
    detail: text(fields, 'detail'),
  };
}

function ip(fields: Fields, key: string): string {
  return parseAddress({ ip: fields[key], port: 0 }, 0).ip;
}
