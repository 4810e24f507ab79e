/** The live view as lines of text, for a terminal of any size. */
import { clock, printable } from '../terminal.js';
import { FLOWS, nameOf, PORTS } from './columns.js';
import { percent, short } from './figures.js';
import type { FlowTable } from './flow-rows.js';
import { aligned, list, type Look } from './list.js';
import type { PortRow, Table } from './rows.js';
import { selectedIn, type View, visibleFlows, visiblePorts } from './view.js';

const STYLE_LENGTH = '\x1b[7m'.length;
/** Of rows: a smaller terminal has better use for them than for many agents, or for any. */
const FEW_ROWS = 12;
const LEAST_ROWS = 6;

/** What `?` shows: see docs/top.md. */
const HELP = [
  'keys',
  '  s               sort by the next: id, flows, in, out, lost; inside a port: rate, in, out, age, idle',
  '  /               only rows with the text that follows; Enter keeps it, Esc drops it',
  '  j k, arrows     select',
  '  Enter, Esc      look into the selected port, and out again',
  '  p, space        pause',
  '  q, Ctrl-C       end',
  'columns',
  '  FLOWS, NEW/S    open now; new ones in a second',
  '  IN, OUT         towards servers, towards clients; B/S: bytes, P/S: packets in a second',
  "  SOURCE          whether servers see the client's address: kept, one family, or no",
  '  LOST            refused, shed or dropped in all; inside the port, by reason',
  '  BYTES           both ways in each of the last seconds, the highest of them a full bar',
  '  PORT -> SERVER  as published, and where the last flow went',
];

/** A port that is looked into; `table` once its flows are known. */
export interface Inside {
  readonly table?: FlowTable | undefined;
  readonly problem?: string | undefined;
}

/** Never more lines than `look.rows`, and none wider than `look.columns`. */
export function draw(table: Table, inside: Inside, view: View, look: Look): string[] {
  const room = Math.max(0, look.rows - 1);
  const isTiny = look.rows < LEAST_ROWS;
  const top =
    isTiny && view.isInside
      ? []
      : [summary(table, view), ...(isTiny ? [] : agentLines(table, look))];
  const left = room - top.length;
  if (view.isHelping) {
    return [...HELP.slice(0, room), 'any key: back']
      .slice(-look.rows)
      .map((line) => cut(line, look));
  }
  const body = view.isInside
    ? insideLines(table, inside, view, look, left)
    : portLines(table, view, look, left);
  const lines = [...top, ...body].slice(0, room);
  return [...lines, help(view)].slice(-look.rows).map((line) => cut(line, look));
}

/** Of all ports, without what only a terminal can show. */
export function plainTable(table: Table): string[] {
  const look = { columns: Infinity, rows: Infinity, isColoured: false, isUtf8: false };
  const columns = PORTS.columns.filter(({ isForTerminals }) => !isForTerminals);
  const titles = columns.map(({ title }) => title);
  const rows = table.ports.map((row) => {
    const cells = columns.map(({ text }) => text(row, look));
    return `${aligned(columns, cells)}  ${nameOf(row)}${lossText(row, '  lost: ')}`;
  });
  return [...agentLines(table, look), `${aligned(columns, titles)}  ${PORTS.name.title}`, ...rows];
}

function summary({ time, ports, agentRestarts, pipes }: Table, view: View): string {
  const flows = ports.reduce((total, one) => total + one.flows, 0);
  const paused = view.isPaused ? '  PAUSED' : '';
  return `sluice ${clock(time)}  ports ${ports.length}  flows ${flows}  pipes ${pipes}  agents replaced ${agentRestarts}${paused}`;
}

function agentLines({ agents }: Table, { rows }: Look): string[] {
  return agents
    .slice(0, rows < FEW_ROWS ? 1 : 4)
    .map(
      ({ pid, state, cpu, residentBytes }) =>
        `agent ${pid} ${state}  cpu ${percent(cpu)}  memory ${short(residentBytes)}B`,
    );
}

function portLines(table: Table, view: View, look: Look, room: number): string[] {
  const shown = visiblePorts(table.ports, view.ports);
  return list(PORTS, shown, selectedIn(view.ports, shown), look, room);
}

function insideLines(table: Table, inside: Inside, view: View, look: Look, room: number): string[] {
  const found = table.ports.find(({ id }) => id === view.ports.selected);
  if (found === undefined) return ['this port is gone'];
  const head = look.rows < FEW_ROWS ? [`port ${found.id}  ${nameOf(found)}`] : facts(found, table);
  return [...head, ...flowLines(inside, view, look, room - head.length)];
}

function facts(row: PortRow, { agents }: Table): string[] {
  const { id, spec, server, source, sourceReason } = row;
  const [agent, ...others] = agents.filter(({ state }) => state === 'serving');
  const through =
    others.length === 0 ? `agent ${agent?.pid}` : `one of ${others.length + 1} agents`;
  const by = [server, ...(agent === undefined ? [] : [through])].filter(Boolean);
  const why = source === 'kept' || sourceReason === '' ? '' : ` (${printable(sourceReason)})`;
  return [
    `port ${id}  ${spec}`,
    `served by         ${by.join(', through ') || 'no agent'}`,
    `flows             ${row.flows}, ${short(row.newFlows)} new in a second`,
    `towards server    ${short(row.bytesIn)}B/s, ${short(row.packetsIn)} packets/s`,
    `towards clients   ${short(row.bytesOut)}B/s, ${short(row.packetsOut)} packets/s`,
    `client addresses  ${source}${why}`,
    `lost in all       ${lossText(row, '') || 'nothing'}`,
  ];
}

function flowLines({ table, problem }: Inside, view: View, look: Look, room: number): string[] {
  if (problem !== undefined) return [printable(problem)];
  if (table === undefined) return ['asking for its flows'];
  const shown = visibleFlows(table.flows, view.flows);
  const chosen = selectedIn(view.flows, shown);
  const dots = look.isUtf8 ? '…' : '...';
  const more = table.more > 0 && room > 3 ? [`${dots} and ${table.more} more`] : [];
  return [...list(FLOWS, shown, chosen, look, room - more.length), ...more];
}

function lossText({ losses }: PortRow, before: string): string {
  const parts = Object.entries(losses).map(([reason, count]) => `${reason} ${count}`);
  return parts.length === 0 ? '' : before + parts.join(', ');
}

function help({ isTyping, isInside, ports, flows }: View): string {
  const { filter, sort } = isInside ? flows : ports;
  if (isTyping) return `filter: ${filter}_  (Enter keeps it, Esc drops it)`;
  const filtered = filter === '' ? '' : ` (${filter})`;
  const first = isInside ? 'Esc back  q quit' : 'q quit';
  const last = isInside ? 'j k select' : 'Enter look into  j k select';
  return `${first}  s sort: ${sort}  / filter${filtered}  p pause  ? help  ${last}`;
}

/** Escape sequences stand at the start of a line only, and take no room. */
function cut(line: string, { columns, isColoured }: Look): string {
  const style = isColoured && line.startsWith('\x1b') ? line.slice(0, STYLE_LENGTH) : '';
  const text = line.slice(style.length, style.length + columns);
  return style === '' ? text : `${style}${text}\x1b[0m`;
}
