/** Ports that an earlier driver has left: from its agents, from the launcher, from the state file. */

import type { Fd } from '../msg/fd.js';
import type { Status } from '../msg/port.js';
import type { Agents } from './agents.js';
import { type EventSink, problem } from './events/event.js';
import { KnownPorts } from './known-ports.js';
import type { PortKeeper, PortTable } from './ports.js';
import type { PortsState } from './state.js';

/** Sockets that outlived a driver outside of its agents. */
export interface HeldPorts {
  /** The highest id that whoever held them has known. */
  readonly lastId: number;
  readonly ports: readonly HeldPort[];
}

export interface HeldPort {
  readonly id: number;
  /** JSON, not checked yet. */
  readonly spec: string;
  readonly sockets: readonly Fd[];
}

interface Left {
  readonly table: PortTable;
  readonly agents: Agents;
  readonly noted: PortsState | undefined;
  readonly held: HeldPorts | undefined;
  readonly emit: EventSink;
}

export interface Resumed {
  /** Whether there was an earlier driver. */
  readonly isAny: boolean;
  /** Ports whose sockets nobody has: call it once agents serve. */
  openOthers(): Promise<void>;
  /** Gives a keeper the ports that it lacks, or all, and takes from it those that are gone. */
  tell(keeper: PortKeeper, all: boolean): void;
}

/** Takes agents over, and every port whose sockets there are. Call it before the agents' start. */
export async function resumePorts({ table, agents, noted, held, emit }: Left): Promise<Resumed> {
  const known = new KnownPorts(noted, held);
  const served = await agents.adopt((id) => known.wasRemoved(id));
  table.continueAfter(known.lastId);
  const reporting = (takePort: () => unknown) => reportingLoss(takePort, emit);
  for (const port of served) await reporting(() => table.takeBack(port));
  for (const port of held?.ports ?? []) {
    const isOver = table.specOf(port.id) !== undefined || known.wasRemoved(port.id);
    if (isOver) port.sockets.forEach((socket) => socket.close());
    else if (port.sockets.length > 0) await reporting(() => table.takeBack(port));
  }
  const isAny = noted !== undefined || held !== undefined || served.length > 0;
  if (isAny && (table.list().length > 0 || noted !== undefined)) tellMissing(agents, emit);
  return {
    isAny,
    async openOthers() {
      const others = (noted?.ports ?? []).filter(({ id }) => table.specOf(id) === undefined);
      const lost = (held?.ports ?? []).filter(({ id }) => table.specOf(id) === undefined);
      for (const port of [...others, ...lost.flatMap(statusOf)]) {
        if (known.wasRemoved(port.id) || table.specOf(port.id) !== undefined) continue;
        await reporting(() => table.adoptPort(port));
      }
    },
    tell(keeper, all) {
      const has = new Set(all ? [] : held?.ports.map(({ id }) => id));
      for (const { id, spec, fds } of table.kept()) {
        if (!has.delete(id)) keeper.added({ id, spec }, fds);
      }
      for (const id of has) void keeper.removed(id);
    },
  };
}

/** One whose sockets got lost on their way. */
function statusOf({ id, spec }: HeldPort): Status[] {
  try {
    return [{ id, spec: JSON.parse(spec) as Status['spec'] }];
  } catch {
    return [];
  }
}

function tellMissing(agents: Agents, emit: EventSink): void {
  const reason = 'an agent has ended while no port driver ran';
  for (let count = 0; count < agents.missing; count++) {
    emit({ type: 'agentReplaced', reason, pauseMs: 0 });
  }
}

/** One port that can't be had again must not keep the others from it. */
async function reportingLoss(takePort: () => unknown, emit: EventSink): Promise<void> {
  try {
    await takePort();
  } catch (error) {
    emit(problem(error, 'a port of the last run is lost: '));
  }
}
