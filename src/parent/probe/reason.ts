/** Why a port doesn't answer, from what was found out about it on both sides. */
import type { ChildContext, Status } from '../../msg/port.js';
import { formatAddress } from '../../msg/sockaddr.js';
import { formatPortSpec } from '../../msg/spec.js';
import { nsenterOptions } from '../nsenter.js';
import { isPort } from './published.js';
import { arrives, isGood, type ProbeResult } from './result.js';
import type { Endpoint } from './target.js';
import type { Dialled } from './view.js';

export type ReasonCode =
  /** No port is published there. */
  | 'notPublished'
  /** The port is published on other addresses of the host. */
  | 'otherAddress'
  /** Nobody has the port where it leads to. */
  | 'notListening'
  /** Somebody has, on other addresses. */
  | 'wrongAddress'
  /** Somebody listens, and what is sent doesn't arrive or is turned down on the way. */
  | 'firewall'
  /** Nobody has the address that the port leads to. */
  | 'gone'
  /** All processes of the container are stopped. */
  | 'paused'
  /** The server ends what it has accepted. */
  | 'ended'
  /** The server answers from another address than was asked. */
  | 'astray'
  /** It answers inside, but not on the host. */
  | 'host';

export interface Reason {
  readonly code: ReasonCode;
  /** What is the case, with what shows it. */
  readonly text: string;
  readonly remedy: string;
}

/** For an address that no port is published on, where nobody answers. */
export function reasonWithoutPort(asked: Endpoint, like: readonly Status[]): Reason {
  const what = `${asked.port}/${asked.transport}`;
  const named = like.map(({ spec }) => formatPortSpec(spec)).join(', ');
  if (like.some((port) => isPort(port, asked))) {
    return {
      code: 'otherAddress',
      text: `${what} is not published on ${asked.ip}, but as ${named}`,
      remedy: 'ask an address that it is published on, or publish it on this one too',
    };
  }
  return {
    code: 'notPublished',
    text: `${what} is not published; ${named === '' ? 'no port is' : `others are: ${named}`}`,
    remedy: 'start the container that publishes it, or publish it',
  };
}

/** Undefined where somebody answers, and where nothing that is wrong was seen. */
export function reasonFor(
  host: ProbeResult,
  dialled: readonly Dialled[],
  child: ChildContext,
): Reason | undefined {
  if (host.verdict === 'answered') return undefined;
  const paused = dialled.find(({ owner }) => owner.isPaused);
  if (paused !== undefined) return reasonPaused(paused);
  if (!dialled.some(isGood)) {
    // What stands behind a loopback address tells more than who ends connections on that one.
    const containers = dialled.filter(({ origin }) => origin !== 'port');
    const asked = containers.length > 0 ? containers : dialled;
    const reasons = asked.flatMap((one) => reasonInside(one, child) ?? []);
    return reasons.find(({ code }) => code !== 'notListening') ?? reasons[0];
  }
  if (isGood(host)) return undefined;
  return {
    code: 'host',
    text: 'it answers inside, so what is in the way is on the host',
    remedy:
      "see whether a firewall of the host's forbids it; `sluice events` shows what the driver refuses",
  };
}

function reasonInside(dialled: Dialled, child: ChildContext): Reason | undefined {
  const { verdict, owner, transport } = dialled;
  if (verdict === 'unanswered') return undefined;
  if (verdict === 'astray') return reasonAstray(dialled);
  if (verdict === 'closed' || verdict === 'reset') return reasonEnded(dialled);
  if (owner.kind === 'nobody') return reasonGone(dialled);
  if (!takes(dialled)) return reasonUnbound(dialled);
  // Silence is what a server of UDP may answer.
  if (transport === 'udp' && verdict === 'silent' && !isWithin(dialled)) return undefined;
  return reasonFirewall(dialled, child);
}

/** Whether somebody has the port on this address, or on a wildcard that includes it. */
function takes({ ip, verdict, within, owner: { bound } }: Dialled): boolean {
  const isIPv6 = ip.includes(':');
  if (bound.includes(ip) || bound.includes(isIPv6 ? '::' : '0.0.0.0')) return true;
  // A wildcard of IPv6 takes IPv4 as well, unless its IPV6_V6ONLY says no: ipv6(7).
  return bound.includes('::') && (within?.verdict ?? verdict) !== 'refused';
}

/** It arrives in the container itself. */
function isWithin({ within }: Dialled): boolean {
  return within !== undefined && arrives(within);
}

function reasonUnbound(dialled: Dialled): Reason {
  const { port, owner } = dialled;
  const where = formatAddress(dialled);
  const place = placeOf(dialled);
  if (owner.bound.length === 0) {
    return {
      code: 'notListening',
      text: `nothing listens on ${where} ${place}`,
      remedy: 'see in its log whether the server runs, and which port it listens on',
    };
  }
  const bound = owner.bound.map((ip) => formatAddress({ ip, port })).join(', ');
  const isV6Only = owner.bound.includes('::');
  return {
    code: 'wrongAddress',
    text: `nothing listens on ${where} ${place}; the server listens on ${bound} only${isV6Only ? ', for IPv6 alone' : ''}`,
    remedy: 'have the server listen on all addresses: 0.0.0.0 and ::',
  };
}

function reasonFirewall(dialled: Dialled, child: ChildContext): Reason {
  const { owner, verdict, ip } = dialled;
  const isOnTheWay = isWithin(dialled) || owner.kind === 'namespace';
  const chains = isOnTheWay ? 'the child namespace' : 'the container';
  const overload =
    verdict === 'silent' && !isOnTheWay ? ', or its server takes no more connections' : '';
  const place =
    isOnTheWay || owner.pid === undefined
      ? child
      : { pid: child.pid, netnsPath: `/proc/${owner.pid}/ns/net` };
  const list = ip.includes(':') ? 'ip6tables-save' : 'iptables-save';
  return {
    code: 'firewall',
    text: `somebody listens on ${formatAddress(dialled)} ${placeOf(dialled)}, but a firewall rule in ${chains} stops what is sent there${overload}`,
    remedy: `find it with: nsenter ${nsenterOptions(place).join(' ')} ${list}`,
  };
}

function reasonGone(dialled: Dialled): Reason {
  const leads = { rule: "the engine's rule", 'docker-proxy': 'docker-proxy', port: 'the port' };
  return {
    code: 'gone',
    text: `nobody inside has the address ${dialled.ip}, where ${leads[dialled.origin]} leads to: the container is gone`,
    remedy: 'start the container again; if it runs, restart it',
  };
}

function reasonPaused(dialled: Dialled): Reason {
  return {
    code: 'paused',
    text: `all processes of the container with ${dialled.ip} are stopped: connections stand, nobody answers`,
    remedy: '`docker unpause`, or send its processes SIGCONT',
  };
}

function reasonEnded(dialled: Dialled): Reason {
  return {
    code: 'ended',
    text: `the server on ${formatAddress(dialled)} ${placeOf(dialled)} takes connections and ends them at once`,
    remedy:
      "its log may say why; a proxy in front of it does so, too, where the server isn't there",
  };
}

function reasonAstray({ from, ...dialled }: Dialled): Reason {
  const other = from === undefined ? '' : ` from ${formatAddress(from)}`;
  return {
    code: 'astray',
    text: `the server answers${other} instead of ${formatAddress(dialled)}, and such an answer is dropped`,
    remedy: 'have the server answer from the address that was asked: bind it to that one',
  };
}

function placeOf({ owner }: Dialled): string {
  return owner.kind === 'container' ? 'in the container' : 'in the child namespace';
}
