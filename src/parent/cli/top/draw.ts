/** The live view as lines of text, for a terminal of any size. */
import { clock, printable } from '../terminal.js';
import { graph, percent, short } from './figures.js';
import type { PortRow, Table } from './rows.js';
import { selectedIn, type View, visible } from './view.js';

export interface Look {
  readonly columns: number;
  readonly rows: number;
  readonly isColoured: boolean;
  readonly isUtf8: boolean;
}

interface Column {
  readonly title: string;
  readonly width: number;
  /** Those with the highest number go first where there is no room for all. */
  readonly luxury: number;
  readonly text: (port: PortRow, look: Look) => string;
}

const GRAPH = 12;
/** 127.0.0.1:18080:80/tcp, and what stands before it. */
const LEAST_SPEC = 24;
const STYLE_LENGTH = '\x1b[7m'.length;

const COLUMNS: readonly Column[] = [
  { title: 'ID', width: 5, luxury: 0, text: ({ id }) => String(id) },
  { title: 'FLOWS', width: 6, luxury: 1, text: ({ flows }) => short(flows) },
  { title: 'NEW/S', width: 6, luxury: 6, text: ({ newFlows }) => short(newFlows) },
  { title: 'IN B/S', width: 7, luxury: 2, text: ({ bytesIn }) => short(bytesIn) },
  { title: 'OUT B/S', width: 8, luxury: 2, text: ({ bytesOut }) => short(bytesOut) },
  { title: 'IN P/S', width: 7, luxury: 7, text: ({ packetsIn }) => short(packetsIn) },
  { title: 'OUT P/S', width: 8, luxury: 7, text: ({ packetsOut }) => short(packetsOut) },
  { title: 'SOURCE', width: 7, luxury: 4, text: ({ source }) => source },
  { title: 'LOST', width: 6, luxury: 3, text: ({ lost }) => short(lost) },
  {
    title: '',
    width: GRAPH + 1,
    luxury: 5,
    text: ({ history }, { isUtf8 }) => graph(history, GRAPH, isUtf8),
  },
];

/** Never more lines than `look.rows`, and none wider than `look.columns`. */
export function draw(table: Table, view: View, look: Look): string[] {
  const ports = visible(table, view);
  const top = [summary(table, view), ...agentLines(table, look)];
  const body = view.isInside
    ? inside(selectedIn(view, ports))
    : list(ports, view, look, top.length);
  const room = Math.max(0, look.rows - 1);
  const lines = [...top, ...body].slice(0, room);
  return [...lines, help(view)].slice(-look.rows).map((line) => cut(line, look));
}

/** Of all ports, without what only a terminal can show. */
export function plainTable(table: Table): string[] {
  const look = { columns: Infinity, rows: Infinity, isColoured: false, isUtf8: false };
  const columns = COLUMNS.filter(({ title }) => title !== '');
  const line = (spec: string, cells: readonly string[]) =>
    `${cells.map((cell, index) => cell.padStart(columns[index]?.width ?? 0)).join('')}  ${spec}`;
  const rows = table.ports.map((port) => {
    const cells = columns.map(({ text }) => text(port, look));
    return line(`${port.spec}${lossText(port, '  lost: ')}`, cells);
  });
  return [
    ...agentLines(table, look),
    line(
      'PORT',
      columns.map(({ title }) => title),
    ),
    ...rows,
  ];
}

function summary({ time, ports, agentRestarts, pipes }: Table, view: View): string {
  const flows = ports.reduce((total, port) => total + port.flows, 0);
  const paused = view.isPaused ? '  PAUSED' : '';
  return `sluice ${clock(time)}  ports ${ports.length}  flows ${flows}  pipes ${pipes}  agents replaced ${agentRestarts}${paused}`;
}

function agentLines({ agents }: Table, { rows }: Look): string[] {
  // A small terminal has better use for its lines.
  const most = rows < 12 ? 1 : 4;
  return agents
    .slice(0, most)
    .map(
      ({ pid, state, cpu, residentBytes }) =>
        `agent ${pid} ${state}  cpu ${percent(cpu)}  memory ${short(residentBytes)}B`,
    );
}

function list(ports: readonly PortRow[], view: View, look: Look, above: number): string[] {
  const columns = fitting(look.columns);
  const line = (mark: string, spec: string, cells: readonly string[]) =>
    `${mark}${cells.map((cell, index) => cell.padStart(columns[index]?.width ?? 0)).join('')} ${spec}`;
  const header = line(
    ' ',
    'PORT',
    columns.map(({ title }) => title),
  );
  const chosen = selectedIn(view, ports);
  const room = Math.max(1, look.rows - above - 2);
  const first = Math.max(0, ports.findIndex((port) => port === chosen) - room + 1);
  const rows = ports.slice(first, first + room).map((port) => {
    const isChosen = port === chosen;
    const cells = columns.map(({ text }) => text(port, look));
    const text = line(isChosen ? '>' : ' ', port.spec, cells);
    return isChosen && look.isColoured ? `\x1b[7m${text}` : text;
  });
  return [look.isColoured ? `\x1b[1m${header}` : header, ...rows];
}

/** The columns that leave room for a spec. */
function fitting(width: number): readonly Column[] {
  let columns = COLUMNS;
  for (let luxury = 9; luxury > 0; luxury--) {
    const used = columns.reduce((total, column) => total + column.width, 0);
    if (used + LEAST_SPEC <= width) break;
    columns = columns.filter((column) => column.luxury < luxury);
  }
  return columns;
}

function inside(port: PortRow | undefined): string[] {
  if (port === undefined) return ['this port is gone'];
  const { id, spec, source, sourceReason } = port;
  const why = source === 'kept' || sourceReason === '' ? '' : ` (${printable(sourceReason)})`;
  return [
    `port ${id}  ${spec}`,
    `flows             ${port.flows}, ${short(port.newFlows)} new in a second`,
    `towards server    ${short(port.bytesIn)}B/s, ${short(port.packetsIn)} packets/s`,
    `towards clients   ${short(port.bytesOut)}B/s, ${short(port.packetsOut)} packets/s`,
    `client addresses  ${source}${why}`,
    `lost in all       ${lossText(port, '') || 'nothing'}`,
  ];
}

function lossText({ losses }: PortRow, before: string): string {
  const parts = Object.entries(losses).map(([reason, count]) => `${reason} ${count}`);
  return parts.length === 0 ? '' : before + parts.join(', ');
}

function help({ isTyping, filter, sort, isInside }: View): string {
  if (isTyping) return `filter: ${filter}_  (Enter keeps it, Esc drops it)`;
  if (isInside) return 'Esc back  p pause  q quit';
  const filtered = filter === '' ? '' : ` (${filter})`;
  return `q quit  s sort: ${sort}  / filter${filtered}  p pause  Enter look into  j k select`;
}

/** Escape sequences stand at the start of a line only, and take no room. */
function cut(line: string, { columns, isColoured }: Look): string {
  const style = isColoured && line.startsWith('\x1b') ? line.slice(0, STYLE_LENGTH) : '';
  const text = line.slice(style.length, style.length + columns);
  return style === '' ? text : `${style}${text}\x1b[0m`;
}
