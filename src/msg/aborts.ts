/** Why an agent ends an SCTP association that neither side wanted to end. */

/**
 * A message larger than can be sent (`oversized`), on a `stream` that the other side doesn't have,
 * or too much held already (`memory`).
 */
export const ABORT_REASONS = ['oversized', 'stream', 'memory'] as const;

export type AbortReason = (typeof ABORT_REASONS)[number];
