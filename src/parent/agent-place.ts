/** What an agent is started for. */

import type { ChildContext } from '../msg/port.js';

export interface AgentPlace {
  readonly child: ChildContext;
  /** Leaves it the rights to use clients' addresses as its own. */
  readonly bearsClients: boolean;
}

/** For a driver with these options. */
export function placeIn(
  child: ChildContext,
  { sourceIPTransparent = true }: { readonly sourceIPTransparent?: boolean },
): AgentPlace {
  return { child, bearsClients: sourceIPTransparent };
}
