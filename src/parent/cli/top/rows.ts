/** From one state of a driver to the next: how fast everything goes. */
import type { Proto, Spec } from '../../../msg/port.js';
import { formatAddress } from '../../../msg/sockaddr.js';
import { formatPortSpec } from '../../../msg/spec.js';
import type { State } from './state.js';

/** As many as the widest graph shows. */
const HISTORY = 60;

export interface PortRow {
  readonly id: number;
  readonly spec: string;
  /** Where the last flow went; empty while that isn't known. */
  readonly server: string;
  /** Whether servers see the client's address: always, never, or for one family. */
  readonly source: 'kept' | 'ipv4' | 'ipv6' | 'no';
  readonly sourceReason: string;
  readonly flows: number;
  /** In a second. `in` is towards the server. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly packetsIn: number;
  readonly packetsOut: number;
  readonly newFlows: number;
  /** In all: not taken by a server, shed, dropped. */
  readonly lost: number;
  /** By reason. */
  readonly losses: Readonly<Record<string, number>>;
  /** Bytes in a second both ways, the latest last. */
  readonly history: readonly number[];
}

export interface AgentRow {
  readonly pid: number;
  readonly state: string;
  /** Of one core, 1 is all of it. */
  readonly cpu: number;
  readonly residentBytes: number;
}

export interface Table {
  readonly time: string;
  readonly ports: readonly PortRow[];
  readonly agents: readonly AgentRow[];
  readonly agentRestarts: number;
  readonly pipes: number;
}

type Port = State['ports'][number];
type Stats = NonNullable<Port['stats']>;
type Counter = 'bytesIn' | 'bytesOut' | 'packetsIn' | 'packetsOut' | 'accepted';

export class Rates {
  #before: State | undefined;
  readonly #history = new Map<number, number[]>();

  /** Rates are 0 for what was not there in the state before. */
  next(state: State): Table {
    const before = this.#before;
    this.#before = state;
    const seconds =
      before === undefined ? 0 : (Date.parse(state.time) - Date.parse(before.time)) / 1000;
    const rate = (now: number, then: number | undefined) =>
      then === undefined || seconds <= 0 ? 0 : Math.max(0, now - then) / seconds;
    const ports = state.ports.map((port) => {
      const then = before?.ports.find(({ id }) => id === port.id)?.stats;
      const per = (key: Counter) => rate(port.stats?.[key] ?? 0, then?.[key]);
      return this.#row(state, port, per);
    });
    for (const id of this.#history.keys()) {
      if (!state.ports.some((port) => port.id === id)) this.#history.delete(id);
    }
    const agents = state.agents.map(({ pid, state: role, cpuSeconds, residentBytes }) => {
      const then = before?.agents.find((agent) => agent.pid === pid)?.cpuSeconds;
      return { pid, state: role, cpu: rate(cpuSeconds, then), residentBytes };
    });
    const { time, agentRestarts, pipes } = state;
    return { time, ports, agents, agentRestarts, pipes };
  }

  #row(state: State, { id, spec, server, stats }: Port, per: (key: Counter) => number): PortRow {
    const [bytesIn, bytesOut] = [per('bytesIn'), per('bytesOut')];
    const history = [...(this.#history.get(id) ?? []), bytesIn + bytesOut].slice(-HISTORY);
    this.#history.set(id, history);
    const losses = stats === undefined ? {} : lossesOf(stats, spec.proto);
    return {
      id,
      spec: formatPortSpec({ ...spec, proto: spec.proto as Proto } satisfies Spec),
      server: server === undefined ? '' : formatAddress(server),
      ...sourceOf(state, spec.proto),
      flows: stats?.flows ?? 0,
      bytesIn,
      bytesOut,
      packetsIn: per('packetsIn'),
      packetsOut: per('packetsOut'),
      newFlows: per('accepted'),
      lost: Object.values(losses).reduce((total, one) => total + one, 0),
      losses,
      history,
    };
  }
}

/** A refusal of UDP is counted as a drop as well. */
function lossesOf({ refused, shed, drops }: Stats, proto: string): Record<string, number> {
  const all = { ...(!proto.startsWith('udp') && { refused }), shed, ...drops };
  return Object.fromEntries(Object.entries(all).filter(([, count]) => count > 0));
}

/** A protocol without a family is of both. */
function sourceOf({ sourceIP }: State, proto: string): Pick<PortRow, 'source' | 'sourceReason'> {
  const families = /[46]$/.test(proto) ? [proto] : [`${proto}4`, `${proto}6`];
  const states = families.map((name) => sourceIP.protos[name]);
  const kept = families.filter((_, index) => states[index]?.kept === true);
  const sourceReason =
    states.map((one) => one?.reason).find((reason) => reason !== undefined) ?? '';
  if (kept.length === families.length) return { source: 'kept', sourceReason };
  const [only] = kept;
  if (only === undefined) return { source: 'no', sourceReason };
  return { source: only.endsWith('4') ? 'ipv4' : 'ipv6', sourceReason };
}
