/** What a driver tells of itself, and what of a port's flows. */
import { FlowRates } from '../../../src/parent/cli/top/flow-rows.js';
import type { Look } from '../../../src/parent/cli/top/list.js';
import { Rates } from '../../../src/parent/cli/top/rows.js';
import type { State } from '../../../src/parent/cli/top/state.js';
import {
  FIRST_VIEW,
  pressed,
  type View,
  visibleFlows,
  visiblePorts,
} from '../../../src/parent/cli/top/view.js';
import type { PortFlow } from '../../../src/parent/snapshot.js';

const NOTHING = {
  flows: 0,
  accepted: 0,
  refused: 0,
  shed: 0,
  bytesIn: 0,
  bytesOut: 0,
  packetsIn: 0,
  packetsOut: 0,
  drops: {},
  connects: [],
  connectMicros: 0,
};

type Counted = Partial<typeof NOTHING> & { readonly drops?: Record<string, number> };

export function state(second: number, ports: readonly Counted[], cpuSeconds = 0): State {
  return {
    time: new Date(second * 1000).toISOString(),
    ports: ports.map((stats, index) => ({
      id: index + 1,
      spec: { proto: index === 1 ? 'udp4' : 'tcp', parentPort: 8000 + index, childPort: 80 },
      ...(index === 0 && { server: { ip: '172.17.0.2', port: 80 } }),
      stats: { ...NOTHING, ...stats, id: index + 1 },
    })),
    agents: [
      {
        pid: 7,
        state: 'serving',
        since: new Date(0).toISOString(),
        cpuSeconds,
        residentBytes: 6e7,
      },
    ],
    agentRestarts: 2,
    pipes: 4,
    sourceIP: {
      policy: 'keep',
      protos: {
        tcp4: { kept: true },
        tcp6: { kept: false, reason: 'no nft' },
        udp4: { kept: false },
      },
      flows: { kept: 0, without: {}, refused: 0 },
    },
    transports: {},
  };
}

export const look = (columns: number, rows: number): Look => {
  return { columns, rows, isColoured: false, isUtf8: false };
};

export function flow(id: number, more: Partial<PortFlow> = {}): PortFlow {
  return {
    agent: 7,
    id,
    client: { ip: '198.51.100.7', port: 40_000 + id },
    server: { ip: '172.17.0.2', port: 80 },
    state: 'open',
    ageMs: 10_000,
    idleMs: 0,
    bytesIn: 0,
    bytesOut: 0,
    packetsIn: 0,
    packetsOut: 0,
    ...more,
  };
}

const rates = new Rates();
rates.next(state(1, [{}, {}, {}]));
/** Of three ports. */
export const table = rates.next(
  state(2, [{ flows: 1, bytesOut: 5 }, { flows: 9 }, { bytesOut: 100, shed: 2 }]),
);
const flows = new FlowRates().next({
  total: 4003,
  flows: [
    flow(1, { bytesIn: 9000, ageMs: 90_000, idleMs: 5000 }),
    flow(2, { bytesOut: 4000, state: 'half-closed', ageMs: 2000 }),
    flow(3, { client: { ip: '::1', port: 3 }, state: 'dialling', idleMs: 70 }),
  ],
});
/** Any of them. */
export const inside = { table: flows };
/** Of the list that is shown. */
const rowsOf = (view: View) =>
  view.isInside ? visibleFlows(flows.flows, view.flows) : visiblePorts(table.ports, view.ports);
/** The view after these keys. */
export const after = (keys: string) =>
  Array.from(keys).reduce((view, key) => pressed(view, key, rowsOf(view)), FIRST_VIEW);

export function idsAfter(keys: string): (number | string)[] {
  return rowsOf(after(keys)).map(({ id }) => id);
}
