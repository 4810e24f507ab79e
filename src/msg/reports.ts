/** What an agent tells its parent without being asked; nothing answers it. */

import { ABORT_REASONS, type AbortReason } from './aborts.js';
import { type Fields, fieldsOf, integer, invalid } from './fields.js';
import { parseShedCounts, type ShedCounts } from './overload.js';
import { type Address, parseAddress } from './sockaddr.js';

/** At most once a second: what was shed since the last time. */
export interface Shed {
  readonly type: 'shed';
  readonly counts: ShedCounts;
}

/** At most once a second for each port: flows that no server took, and the last one's client. */
export interface Refused {
  readonly type: 'refused';
  readonly id: number;
  readonly flows: number;
  readonly client: Address;
}

/** At most once a minute for each reason: SCTP associations that were ended. */
export interface Aborted {
  readonly type: 'aborted';
  readonly id: number;
  readonly flows: number;
  readonly reason: AbortReason;
}

export function parseShed(fields: Fields): Shed {
  return { type: 'shed', counts: parseShedCounts(fieldsOf(fields['counts'], 'counts')) };
}

export function parseRefused(fields: Fields): Refused {
  return {
    type: 'refused',
    id: integer(fields, 'id', 1),
    flows: integer(fields, 'flows', 1),
    // A client may well send from port 0, which nobody can be dialled at.
    client: parseAddress(fieldsOf(fields['client'], 'client'), 0),
  };
}

export function parseAborted(fields: Fields): Aborted {
  const { reason } = fields;
  const known = ABORT_REASONS.find((one) => one === reason);
  if (known === undefined) throw invalid('reason', reason, `one of ${ABORT_REASONS.join(', ')}`);
  const [id, flows] = [integer(fields, 'id', 1), integer(fields, 'flows', 1)];
  return { type: 'aborted', id, flows, reason: known };
}
