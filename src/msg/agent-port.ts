/** What an agent is told of a port, and the check of it when it comes over the channel. */

import { type Fields, fieldsOf, flag, integer, invalid, text } from './fields.js';
import { PROTOS, type Proto } from './port.js';
import { type Address, parseAddress } from './sockaddr.js';

const MAX_DIAL_ADDRESSES = 16;

/** What the agent needs to know of a port; its listening sockets come along as fds. */
export interface AgentPort {
  readonly id: number;
  readonly proto: Proto;
  /** Where to connect to: each is tried when the one before it refuses. Never empty. */
  readonly dial: readonly Address[];
  /** The engine may have a DNAT rule for `dial`: ask with `resolve` at the first flow. */
  readonly mayHaveRule: boolean;
  /**
   * An engine named the address to dial, on loopback. Its proxy may be there, which hides clients:
   * no flow goes there before `resolve` is answered.
   */
  readonly isEngines: boolean;
  /** Other agents accept from the same sockets. */
  readonly isShared: boolean;
  /** The Spec as JSON, kept for a later parent: the agent never looks into it. */
  readonly spec: string;
}

/** Where the flows of a port should go. */
export interface Resolution {
  /** Containers, to be dialled before the port's own addresses. May be empty. */
  readonly targets: readonly Address[];
  /**
   * The engine or its proxy holds the port's own addresses. The agent must never dial them: the
   * server would see the proxy's address. Without targets, flows are refused and the agent asks again.
   */
  readonly isProxied: boolean;
  /** 127.0.0.1 and ::1 lead to the same server: either may be dialled first. */
  readonly isDualStack: boolean;
}

export function parseAgentPort(fields: Fields): AgentPort {
  const proto = PROTOS.find((name) => name === fields['proto']);
  if (proto === undefined) throw invalid('proto', fields['proto'], `one of ${PROTOS.join(', ')}`);
  return {
    id: integer(fields, 'id', 1),
    proto,
    dial: addresses(fields, 'dial', 1),
    mayHaveRule: flag(fields, 'mayHaveRule'),
    isEngines: flag(fields, 'isEngines'),
    isShared: flag(fields, 'isShared'),
    spec: text(fields, 'spec'),
  };
}

export function parseResolution(fields: Fields): Resolution {
  return {
    targets: addresses(fields, 'targets', 0),
    isProxied: flag(fields, 'isProxied'),
    isDualStack: flag(fields, 'isDualStack'),
  };
}

function addresses(fields: Fields, key: string, least: number): Address[] {
  const list = fields[key];
  if (Array.isArray(list) && list.length >= least && list.length <= MAX_DIAL_ADDRESSES) {
    return list.map((entry: unknown) => parseAddress(fieldsOf(entry, key)));
  }
  throw invalid(key, list, `${least} to ${MAX_DIAL_ADDRESSES} addresses`);
}
