/**
 * Whether a target's replies to a client's address come back to the agent.
 *
 * An agent asks when a flow that bears its client's address meets silence. The answer is a property
 * of the target's routes and never of the silence: a firewall that drops a client is meant to, and
 * must not look like lost replies.
 */

import type { ChildContext, Transport } from '../../msg/port.js';
import type { Address } from '../../msg/sockaddr.js';

/** The container's address that the flow was sent to. */
export type Target = Address & { readonly transport: Transport };

export interface ReturnPath {
  /**
   * - `open`: replies come back, so silence is meant.
   * - `lost`: replies go elsewhere, or the container lets none out.
   * - `dead`: nobody has the target's address.
   * - `unknown`: no evidence. The flow keeps the client's address.
   */
  readonly verdict: 'open' | 'lost' | 'dead' | 'unknown';
  /** `target`: the same for every client's address; `client`: for this client alone. */
  readonly scope: 'target' | 'client';
  /** In plain words, for the log and `info`. */
  readonly reason: string;
}

export interface ReturnPathQuestion {
  readonly child: ChildContext;
  /** Folders with nsenter and ip, as in the environment variable. */
  readonly path?: string;
  readonly target: Target;
  /** An IP address without a port, of the target's family. */
  readonly client: string;
}

/** Never rejects: a failure is `unknown`, with its reason. Takes 2.5 s at most. */
export async function findReturnPath({ target, client }: ReturnPathQuestion): Promise<ReturnPath> {
  const reason = `the way from ${target.ip} to ${client} was not looked at`;
  return { verdict: 'unknown', scope: 'client', reason };
}
