/** How long a UDP session lives without a datagram from either side. */

import { type Fields, integer } from './fields.js';

/** Milliseconds, 1 to MAX_UDP_TIMEOUT_MS. */
export interface UdpTimeouts {
  /** Before the server's first answer. */
  readonly unrepliedMs: number;
  readonly repliedMs: number;
}

export const DEFAULT_UDP_TIMEOUTS: UdpTimeouts = { unrepliedMs: 30_000, repliedMs: 180_000 };

/** A day. */
export const MAX_UDP_TIMEOUT_MS = 86_400_000;

export function parseUdpTimeouts(fields: Fields): UdpTimeouts {
  return {
    unrepliedMs: integer(fields, 'unrepliedMs', 1, MAX_UDP_TIMEOUT_MS),
    repliedMs: integer(fields, 'repliedMs', 1, MAX_UDP_TIMEOUT_MS),
  };
}
