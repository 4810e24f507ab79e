/** One way of a session: how to reach its client, or its server, and what went there. */

import type { PortCounters, Tally } from '../counters.js';
import type { Family } from './layout.js';

const NOWHERE = new Uint8Array(0);
const NO_PKTINFO = new Int32Array(0);
/** The most that a segment can have. */
const ANY_SEGMENT = 0xffff;

export interface Path {
  /** Of the socket that it leads through. */
  readonly family: Family;
  /** Where to, as a sockaddr; empty through a connected socket. */
  readonly name: Uint8Array;
  /** A whole control message that says where from; empty through a connected socket. */
  readonly pktinfo: Int32Array;
  /** Segments up to this size may be sent as one message. */
  largestSegment: number;
  /** What a full socket is counted as. */
  readonly busy: 'serverBusy' | 'clientBusy';
  /** The port's, of which `tally` is this direction. */
  readonly counters: PortCounters;
  readonly tally: Tally;
  /** Of this session alone. */
  bytes: number;
  packets: number;
}

export function pathToClient(
  family: Family,
  name: Uint8Array,
  pktinfo: Int32Array,
  counters: PortCounters,
): Path {
  return {
    family,
    name,
    pktinfo,
    largestSegment: ANY_SEGMENT,
    busy: 'clientBusy',
    counters,
    tally: counters.out,
    bytes: 0,
    packets: 0,
  };
}

/** Through a connected socket, which may take the place of the one that `before` led through. */
export function pathToServer(
  family: Family,
  counters: PortCounters,
  before: Path | undefined,
): Path {
  return {
    family,
    name: NOWHERE,
    pktinfo: NO_PKTINFO,
    largestSegment: ANY_SEGMENT,
    busy: 'serverBusy',
    counters,
    tally: counters.in,
    bytes: before?.bytes ?? 0,
    packets: before?.packets ?? 0,
  };
}
