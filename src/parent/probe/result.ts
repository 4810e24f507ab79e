/** What a probe found out, and what that means to its user. */
import type { Address } from '../../msg/sockaddr.js';
import type { Endpoint } from './target.js';

export interface ProbeOptions {
  /** UDP sends it as one datagram, an empty one too; without it TCP and SCTP only connect. */
  readonly payload?: Uint8Array;
  /** For a connection, and again for the answer to the payload. */
  readonly timeoutMs: number;
}

export type Verdict =
  /** Bytes came back. */
  | 'answered'
  /** The connection stands; nobody has said anything. */
  | 'connected'
  /** The connection stands; the payload got no answer in time. */
  | 'unanswered'
  /** Connected, and the server's end came at once, without a byte. */
  | 'closed'
  /** The same as a reset. */
  | 'reset'
  /** Somebody is there and says that nothing listens. */
  | 'refused'
  /** An answer came from another address or port than was asked. */
  | 'astray'
  /** No way leads there. */
  | 'unreachable'
  /** Nothing came back in time. */
  | 'silent';

export interface Finding {
  readonly verdict: Verdict;
  /** From the start to what decided it; to the connection where it is `connected`. */
  readonly ms: number;
  /** Length of the answer: of its first datagram, message or segment. */
  readonly bytes?: number;
  /** Where the answer came from. */
  readonly from?: Address;
  /** Why it is unreachable, such as ENETUNREACH. */
  readonly errno?: string;
}

export type ProbeResult = Endpoint & Finding;

/**
 * Without a payload a connection is watched this long for its end: a forwarder may hold it until it
 * knows whether the server behind it refuses, on a busy machine for a second.
 */
export const CLOSE_WATCH_MS = 1500;

const UNREACHABLE = ['ENETUNREACH', 'EHOSTUNREACH', 'ENETDOWN', 'EHOSTDOWN', 'EADDRNOTAVAIL'];
/** A firewall, of this machine or on the way. */
export const FORBIDDEN = ['EPERM', 'EACCES'];

/** What a failed call says about the endpoint; undefined if it says something about us instead. */
export function verdictOf(errno: string): Verdict | undefined {
  if (errno === 'ECONNREFUSED') return 'refused';
  if (errno === 'ECONNRESET' || errno === 'EPIPE') return 'reset';
  if (errno === 'ETIMEDOUT') return 'silent';
  return UNREACHABLE.includes(errno) || FORBIDDEN.includes(errno) ? 'unreachable' : undefined;
}

/** Whether somebody took what was sent, as far as that can be known. */
export function arrives({ verdict }: Finding): boolean {
  return verdict !== 'refused' && verdict !== 'unreachable' && verdict !== 'silent';
}

/** Whether a client would be content. */
export function isGood({ verdict }: Finding): boolean {
  return verdict === 'answered' || verdict === 'connected';
}
