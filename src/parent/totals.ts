/**
 * What agents have counted, added up: each begins at nothing, and a sum that fell when one of them
 * ended would be no counter. What an agent counted after the last look at it is lost with it.
 */

import type { PortStats } from '../msg/port-stats.js';
import type { TransportStats } from '../msg/stats.js';

/** Of one agent, or of several. */
export interface Counts {
  readonly transports: Readonly<Partial<Record<string, TransportStats>>>;
  readonly ports: ReadonlyMap<number, PortStats>;
}

const NOTHING: Counts = { transports: {}, ports: new Map() };

export class Totals<Agent> {
  #ended = NOTHING;
  readonly #seen = new Map<Agent, Counts>();

  /** What an agent says now. */
  set(agent: Agent, counts: Counts): void {
    this.#seen.set(agent, counts);
  }

  /** Of all agents, if `running` are those that there still are; ports other than `ids` are forgotten. */
  of(running: ReadonlySet<Agent>, ids: ReadonlySet<number>): Counts {
    for (const [agent, counts] of this.#seen) {
      if (running.has(agent)) continue;
      this.#seen.delete(agent);
      this.#ended = sum(this.#ended, withoutFlows(counts));
    }
    const ports = [...this.#ended.ports].filter(([id]) => ids.has(id));
    this.#ended = { ...this.#ended, ports: new Map(ports) };
    return [...this.#seen.values()].reduce(sum, this.#ended);
  }
}

function sum(a: Counts, b: Counts): Counts {
  const ports = new Map(a.ports);
  for (const [id, stats] of b.ports) {
    const known = ports.get(id);
    ports.set(id, known === undefined ? stats : { ...added(known, stats), id });
  }
  return { transports: added(a.transports, b.transports), ports };
}

/** The flows of an agent end with it; all other numbers are counters. */
function withoutFlows({ transports, ports }: Counts): Counts {
  const still = Object.entries(transports).map(([name, stats]) => [name, { ...stats, flows: 0 }]);
  return {
    transports: Object.fromEntries(still) as Counts['transports'],
    ports: new Map([...ports].map(([id, stats]) => [id, { ...stats, flows: 0 }])),
  };
}

/** Adds the numbers that stand in the same place; one that is missing on a side is 0 there. */
export function added<T extends object>(a: T, b: T): T {
  return addedValues(a, b) as T;
}

function addedValues(a: unknown, b: unknown): unknown {
  if (a === undefined || b === undefined) return a ?? b;
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.map((value: unknown, index) => addedValues(value, b[index]));
  }
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
  return Object.fromEntries([...keys].map((key) => [key, addedValues(left[key], right[key])]));
}
