/** What a driver and its agent hold at one moment. */
import { commandOf, fdTargetsOf, isPipe, processTree, pssMiB } from '../processes.js';

export interface Census {
  /** Of the launcher's whole tree: the engine and its network too. */
  readonly processes: number;
  readonly driverFds: number;
  readonly agentSockets: number;
  /** Distinct ones, each of which has two ends. */
  readonly agentPipes: number;
  readonly agentOtherFds: number;
  readonly driverMiB: number;
  readonly agentMiB: number;
}

/** What a heap may have grown by without being a leak. */
const GROWTH_MIB = 48;

const LABELS: Readonly<Record<keyof Census, string>> = {
  processes: 'processes',
  driverFds: "driver's fds",
  agentSockets: "agent's sockets",
  agentPipes: "agent's pipes",
  agentOtherFds: "agent's other fds",
  driverMiB: "driver's memory (PSS), MiB",
  agentMiB: "agent's memory (PSS), MiB",
};
const KEYS = Object.keys(LABELS) as (keyof Census)[];

/** What there is more of than `most`, for people. */
export function leaksOf(now: Census, most: Census): string[] {
  return KEYS.flatMap((key) => {
    const limit = most[key] + (key.endsWith('MiB') ? GROWTH_MIB : 0);
    return now[key] <= limit
      ? []
      : [`${LABELS[key]}: ${figure(now[key])}, at most ${figure(limit)}`];
  });
}

/** A column for each count. */
export function tableOf(counts: Readonly<Record<string, Census>>): string {
  const columns = Object.entries(counts);
  const rows = [
    ['', ...columns.map(([name]) => name)],
    ...KEYS.map((key) => [LABELS[key], ...columns.map(([, count]) => figure(count[key]))]),
  ];
  return rows
    .map(
      ([label = '', ...cells]) =>
        label.padEnd(30) + cells.map((cell) => cell.padStart(10)).join(''),
    )
    .join('\n');
}

function figure(value: number): string {
  return Number.isInteger(value) ? `${value}` : value.toFixed(1);
}

/** `launcher` is the process that sluice was started as. */
export function census(launcher: number): Census {
  const tree = processTree([launcher]);
  const running = (script: string) => tree.filter((pid) => commandOf(pid).includes(script));
  const drivers = running('/driver-main.js');
  const agents = running('/child/main.js');
  const fds = agents.flatMap(fdTargetsOf);
  const sockets = fds.filter((target) => target.startsWith('socket:')).length;
  const pipeEnds = fds.filter(isPipe);
  return {
    processes: tree.length,
    driverFds: drivers.flatMap(fdTargetsOf).length,
    agentSockets: sockets,
    agentPipes: new Set(pipeEnds).size,
    agentOtherFds: fds.length - sockets - pipeEnds.length,
    driverMiB: pssMiB(drivers),
    agentMiB: pssMiB(agents),
  };
}
