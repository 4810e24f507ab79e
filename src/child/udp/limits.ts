/**
 * How many sessions there may be, and which one makes room for another: in total, for one port, for
 * one client.
 *
 *   unreplied ─► answered ─► established
 *
 * A session is established when its client has spoken again after the server's first answer, which
 * no sender of forged addresses can know of. A full table gives up, in this order,
 *
 * 1. the oldest unreplied session, where more than half are unreplied: a flood;
 * 2. the longest silent answered session, if it was silent for FLOOR_MS: a finished exchange (DNS);
 * 3. the longest silent established session, if it was silent for FLOOR_MS;
 * 4. the longest silent session of the client that has the most, if these are more than its share;
 * 5. an answered session, then an unreplied one.
 *
 * 3 and 4 hold only while few sessions are unreplied or answered (RESERVE_SHARE): new clients need
 * room for as long as an exchange takes, and a flood must not get more than that. If nothing is
 * left, every session is in use and no client has too many: the new one is dropped.
 *
 * A client at its own limit gives up its own sessions, in use or not. A client is an IPv4 address,
 * or a whole /64 of IPv6 (`address.ts`): a host picks its addresses in there as it likes, so a limit
 * for each address would limit nobody.
 *
 * The limits that hold for the flows of all protocols (`../overload.ts`) take their victims here
 * as well.
 */

/** Longer than most clients that are still there are silent: QUIC's usual idle timeout. */
export const FLOOR_MS = 30_000;
/** A client may have an eighth of a full table in use: eight of them fill it. */
export const CLIENT_SHARE = 8;
/** A quarter of a table can always be had by sessions that are unreplied or answered. */
export const RESERVE_SHARE = 4;
/** A session's place in line is right to this: a move for each datagram would cost too much. */
export const ORDER_MS = 1000;

export interface Limits {
  readonly total: number;
  readonly perPort: number;
  /** For one client, of all ports. */
  readonly perSource: number;
}

/** A table of this size takes some 100 MB of the kernel's memory and ours. */
const MOST_SESSIONS = 65_536;

/** Half of the file descriptors are for TCP; one port, or one client, can't take all of the rest. */
export function limitsOf(files: number): Limits {
  const total = Math.min(Math.floor(files / 2), MOST_SESSIONS);
  return { total, perPort: Math.ceil(total / 2), perSource: Math.ceil(total / 4) };
}
