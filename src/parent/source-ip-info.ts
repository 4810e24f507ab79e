/** What `/v1/info` tells about source addresses: nothing about them may be silent. */

import type { Proto, SourceIPInfo, SourceIPState } from '../msg/port.js';
import { SOURCE_LOSSES } from '../msg/source-address.js';
import type { AgentStats } from '../msg/stats.js';
import type { SourceIP } from './agent-place.js';
import type { SourceAddressing } from './source-address/set-up.js';

export const SWITCHED_OFF = without('switched off by --source-ip=off');
export const NOT_SET_UP = without('the port driver is not running');

/** Its routing takes only addresses of the machine as sources, whatever the socket is bound to. */
const NO_FOREIGN_IPV4 = 'Linux sends no SCTP from an IPv4 address of somebody else';

/** The kernel routes what such a server answers before any rule of ours sees it. */
export const LOCAL_SERVERS =
  'a server that is a process of the namespace itself, not of a container, sees the agent';

/** `published` are the protocols of the driver; `stats` are those of the agents that serve. */
export function sourceIPInfo(
  published: readonly Proto[],
  policy: SourceIP,
  { ipv4, ipv6, reason = '', lacks = {} }: SourceAddressing,
  stats: readonly AgentStats[],
): SourceIPInfo {
  const state = (kept: boolean): SourceIPState => (kept ? { kept } : { kept, reason });
  const [v4, v6] = [state(ipv4), state(ipv6)];
  const states: Readonly<Partial<Record<Proto, SourceIPState>>> = {
    tcp4: but(v4, lacks.all),
    tcp6: but(v6, lacks.all),
    udp4: but(v4, LOCAL_SERVERS, lacks.all, lacks.udp),
    udp6: but(v6, LOCAL_SERVERS, lacks.all, lacks.udp),
    sctp4: ipv4 ? { kept: false, reason: NO_FOREIGN_IPV4 } : v4,
    sctp6: but(v6, LOCAL_SERVERS, lacks.all),
  };
  const protos = Object.fromEntries(
    published.flatMap((proto) => (states[proto] === undefined ? [] : [[proto, states[proto]]])),
  );
  const transports = stats.flatMap((one) => Object.values(one.transports));
  const lost = SOURCE_LOSSES.map(
    (loss) => [loss, sum(transports.map(({ sourceLost }) => sourceLost[loss]))] as const,
  );
  const kept = sum(transports.map(({ sourceKept }) => sourceKept));
  const refused = sum(transports.map(({ sourceRefused }) => sourceRefused));
  return { policy, protos, flows: { kept, without: Object.fromEntries(lost), refused } };
}

function but(state: SourceIPState, ...exceptions: (string | undefined)[]): SourceIPState {
  const except = exceptions.filter((one) => one !== undefined).join('; ');
  return state.kept && except !== '' ? { ...state, except } : state;
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}

function without(reason: string): SourceAddressing {
  return { ipv4: false, ipv6: false, reason, via: 'none', parts: [], undo: async () => {} };
}
