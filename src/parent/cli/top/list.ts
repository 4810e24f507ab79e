/** A list as lines of text: columns that fit, then whatever a row is called by. */

export interface Look {
  readonly columns: number;
  readonly rows: number;
  readonly isColoured: boolean;
  readonly isUtf8: boolean;
}

export interface Column<Row> {
  readonly title: string;
  readonly width: number;
  /** Those with the highest number go first where there is no room for all. */
  readonly luxury: number;
  readonly text: (row: Row, look: Look) => string;
}

export interface Listing<Row> {
  readonly columns: readonly Column<Row>[];
  /** Comes last, and takes the room that is left. */
  readonly name: {
    readonly title: string;
    /** Characters, with the mark and the space before it. */
    readonly least: number;
    readonly text: (row: Row) => string;
  };
}

/** At most `room` lines, `chosen` among them; without the titles where there is room for one only. */
export function list<Row>(
  { columns: all, name }: Listing<Row>,
  rows: readonly Row[],
  chosen: Row | undefined,
  look: Look,
  room: number,
): string[] {
  const columns = fitting(all, look.columns - name.least);
  const titles = columns.map(({ title }) => title);
  const header = ` ${aligned(columns, titles)} ${name.title}`;
  const most = Math.max(1, room - 1);
  const first = Math.max(0, rows.findIndex((row) => row === chosen) - most + 1);
  const lines = rows.slice(first, first + most).map((row) => {
    const isChosen = row === chosen;
    const cells = columns.map(({ text }) => text(row, look));
    const line = `${isChosen ? '>' : ' '}${aligned(columns, cells)} ${name.text(row)}`;
    return isChosen && look.isColoured ? `\x1b[7m${line}` : line;
  });
  if (room < 2) return lines;
  return [look.isColoured ? `\x1b[1m${header}` : header, ...lines];
}

export function aligned<Row>(columns: readonly Column<Row>[], cells: readonly string[]): string {
  return cells.map((cell, index) => cell.padStart(columns[index]?.width ?? 0)).join('');
}

function fitting<Row>(all: readonly Column<Row>[], width: number): readonly Column<Row>[] {
  let columns = all;
  for (let luxury = 9; luxury > 0; luxury--) {
    const used = columns.reduce((total, column) => total + column.width, 0);
    if (used <= width) break;
    columns = columns.filter((column) => column.luxury < luxury);
  }
  return columns;
}
