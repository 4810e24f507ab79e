/** What the live view shows, and how keys change it: nothing here touches a terminal. */
import type { FlowRow } from './flow-rows.js';
import type { PortRow } from './rows.js';

export const SORTS = ['id', 'flows', 'in', 'out', 'lost'] as const;
export type Sort = (typeof SORTS)[number];

export const FLOW_SORTS = ['rate', 'in', 'out', 'age', 'idle'] as const;
export type FlowSort = (typeof FLOW_SORTS)[number];

/** In one of the lists. */
export interface Choice<By> {
  readonly sort: By;
  /** Rows with this text in them. */
  readonly filter: string;
  /** The id of a row; undefined before any was selected. */
  readonly selected: number | string | undefined;
}

export interface View {
  readonly ports: Choice<Sort>;
  readonly flows: Choice<FlowSort>;
  readonly isTyping: boolean;
  readonly isPaused: boolean;
  /** What keys and columns mean fills the screen. */
  readonly isHelping: boolean;
  /** The selected port fills the screen, with its flows: keys are for these. */
  readonly isInside: boolean;
  readonly isOver: boolean;
}

const FIRST_FLOWS: Choice<FlowSort> = { sort: 'rate', filter: '', selected: undefined };

export const FIRST_VIEW: View = {
  ports: { sort: 'id', filter: '', selected: undefined },
  flows: FIRST_FLOWS,
  isTyping: false,
  isPaused: false,
  isHelping: false,
  isInside: false,
  isOver: false,
};

const SORT_KEYS: Readonly<Record<Sort, (port: PortRow) => number>> = {
  id: ({ id }) => -id,
  flows: ({ flows }) => flows,
  in: ({ bytesIn }) => bytesIn,
  out: ({ bytesOut }) => bytesOut,
  lost: ({ lost }) => lost,
};

const FLOW_SORT_KEYS: Readonly<Record<FlowSort, (flow: FlowRow) => number>> = {
  rate: ({ bytesIn, bytesOut }) => bytesIn + bytesOut,
  in: ({ bytesIn }) => bytesIn,
  out: ({ bytesOut }) => bytesOut,
  age: ({ ageMs }) => ageMs,
  idle: ({ idleMs }) => idleMs,
};

/** In the order of the view: the highest first, ids the lowest first. */
export function visiblePorts(
  ports: readonly PortRow[],
  { sort, filter }: Pick<Choice<Sort>, 'sort' | 'filter'>,
): PortRow[] {
  const key = SORT_KEYS[sort];
  return ports
    .filter(({ spec }) => spec.includes(filter))
    .toSorted((a, b) => key(b) - key(a) || a.id - b.id);
}

/** The highest first; those of equal rank as the driver has them, the most bytes first. */
export function visibleFlows(
  flows: readonly FlowRow[],
  { sort, filter }: Choice<FlowSort>,
): FlowRow[] {
  const key = FLOW_SORT_KEYS[sort];
  return flows
    .filter(({ client, server, state }) => `${client} ${server} ${state}`.includes(filter))
    .toSorted((a, b) => key(b) - key(a));
}

interface Row {
  readonly id: number | string;
}

/**
 * `key` is what a terminal sends: one character, or an escape sequence. `rows` are those of the list
 * that is shown, in its order.
 */
export function pressed(view: View, key: string, rows: readonly Row[]): View {
  if (key === '\x03') return { ...view, isOver: true };
  if (view.isHelping) return { ...view, isHelping: false };
  return view.isTyping ? typed(view, key) : commanded(view, key, rows);
}

function typed(view: View, key: string): View {
  const { filter } = choiceOf(view);
  if (key === '\r') return { ...view, isTyping: false };
  if (key === '\x1b') return { ...chosen(view, { filter: '' }), isTyping: false };
  if (key === '\x7f' || key === '\b') return chosen(view, { filter: filter.slice(0, -1) });
  return /^[\x20-\x7e]$/.test(key) ? chosen(view, { filter: filter + key }) : view;
}

function commanded(view: View, key: string, rows: readonly Row[]): View {
  switch (key) {
    case 'q':
      return { ...view, isOver: true };
    case 's':
      return view.isInside
        ? { ...view, flows: { ...view.flows, sort: following(FLOW_SORTS, view.flows.sort) } }
        : { ...view, ports: { ...view.ports, sort: following(SORTS, view.ports.sort) } };
    case '?':
      return { ...view, isHelping: true };
    case '/':
      return { ...chosen(view, { filter: '' }), isTyping: true };
    case 'p':
    case ' ':
      return { ...view, isPaused: !view.isPaused };
    case '\r':
      return view.isInside ? view : entered(view, rows);
    case '\x1b':
      return view.isInside ? { ...view, isInside: false } : chosen(view, { filter: '' });
    case '\x1b[A':
    case 'k':
      return moved(view, -1, rows);
    case '\x1b[B':
    case 'j':
      return moved(view, 1, rows);
    default:
      return view;
  }
}

function entered(view: View, rows: readonly Row[]): View {
  const selected = selectedIn(view.ports, rows)?.id;
  if (selected === undefined) return view;
  return { ...view, ports: { ...view.ports, selected }, flows: FIRST_FLOWS, isInside: true };
}

function moved(view: View, by: number, rows: readonly Row[]): View {
  const at = rows.findIndex(({ id }) => id === selectedIn(choiceOf(view), rows)?.id);
  const to = Math.min(Math.max(0, at + by), rows.length - 1);
  return chosen(view, { selected: rows[to]?.id });
}

/** In the list that is shown. */
function choiceOf({ isInside, flows, ports }: View): Choice<string> {
  return isInside ? flows : ports;
}

function chosen(view: View, change: Partial<Pick<Choice<never>, 'filter' | 'selected'>>): View {
  return view.isInside
    ? { ...view, flows: { ...view.flows, ...change } }
    : { ...view, ports: { ...view.ports, ...change } };
}

function following<T>(all: readonly T[], one: T): T {
  return all[(all.indexOf(one) + 1) % all.length] as T;
}

/** The first one unless another was chosen that is still there. */
export function selectedIn<R extends Row>(
  { selected }: Choice<string>,
  rows: readonly R[],
): R | undefined {
  return rows.find(({ id }) => id === selected) ?? rows[0];
}
