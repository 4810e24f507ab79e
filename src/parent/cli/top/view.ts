/** What the live view shows, and how keys change it: nothing here touches a terminal. */
import type { PortRow, Table } from './rows.js';

export const SORTS = ['id', 'flows', 'in', 'out', 'lost'] as const;
export type Sort = (typeof SORTS)[number];

export interface View {
  readonly sort: Sort;
  /** Ports whose spec has this in it. */
  readonly filter: string;
  readonly isTyping: boolean;
  readonly isPaused: boolean;
  /** Of the selected port; undefined before anything was selected. */
  readonly selected: number | undefined;
  /** The selected port fills the screen. */
  readonly isInside: boolean;
  readonly isOver: boolean;
}

export const FIRST_VIEW: View = {
  sort: 'id',
  filter: '',
  isTyping: false,
  isPaused: false,
  selected: undefined,
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

/** In the order of the view: the highest first, ids the lowest first. */
export function visible({ ports }: Table, { sort, filter }: View): PortRow[] {
  const key = SORT_KEYS[sort];
  return ports
    .filter(({ spec }) => spec.includes(filter))
    .toSorted((a, b) => key(b) - key(a) || a.id - b.id);
}

/** `key` is what a terminal sends: one character, or an escape sequence. */
export function pressed(view: View, key: string, rows: readonly PortRow[]): View {
  if (key === '\x03') return { ...view, isOver: true };
  return view.isTyping ? typed(view, key) : commanded(view, key, rows);
}

function typed(view: View, key: string): View {
  if (key === '\r') return { ...view, isTyping: false };
  if (key === '\x1b') return { ...view, isTyping: false, filter: '' };
  if (key === '\x7f' || key === '\b') return { ...view, filter: view.filter.slice(0, -1) };
  return /^[\x20-\x7e]$/.test(key) ? { ...view, filter: view.filter + key } : view;
}

function commanded(view: View, key: string, rows: readonly PortRow[]): View {
  switch (key) {
    case 'q':
      return { ...view, isOver: true };
    case 's':
      return { ...view, sort: SORTS[(SORTS.indexOf(view.sort) + 1) % SORTS.length] ?? 'id' };
    case '/':
      return { ...view, isTyping: true, filter: '', isInside: false };
    case 'p':
    case ' ':
      return { ...view, isPaused: !view.isPaused };
    case '\r':
      return { ...view, isInside: rows.length > 0, selected: selectedIn(view, rows)?.id };
    case '\x1b':
      return view.isInside ? { ...view, isInside: false } : { ...view, filter: '' };
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

function moved(view: View, by: number, rows: readonly PortRow[]): View {
  const at = rows.findIndex(({ id }) => id === selectedIn(view, rows)?.id);
  const to = Math.min(Math.max(0, at + by), rows.length - 1);
  return { ...view, selected: rows[to]?.id };
}

/** The first one unless another was chosen that is still there. */
export function selectedIn({ selected }: View, rows: readonly PortRow[]): PortRow | undefined {
  return rows.find(({ id }) => id === selected) ?? rows[0];
}
