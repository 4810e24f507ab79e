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
  /** A picture, which is nothing for who reads a table. */
  readonly isForTerminals?: true;
}

/** Columns of this luxury and above are left out for a name that is not cut then. */
const NAME_LUXURY = 5;

/** Before and after the columns. */
const MARKS = 2;

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
  const most = Math.max(1, room - 1);
  const first = Math.max(0, rows.findIndex((row) => row === chosen) - most + 1);
  const shown = rows.slice(first, first + most);
  const longest = Math.max(0, ...shown.map((row) => name.text(row).length)) + MARKS;
  const columns =
    fitting(all, look.columns - longest, NAME_LUXURY) ??
    fitting(all, look.columns - name.least) ??
    [];
  const titles = columns.map(({ title }) => title);
  const header = ` ${aligned(columns, titles)} ${name.title}`;
  const lines = shown.map((row) => {
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

/** Without the fewest luxuries, none below `least` among them; undefined where that is too wide. */
function fitting<Row>(
  all: readonly Column<Row>[],
  width: number,
  least = 1,
): readonly Column<Row>[] | undefined {
  for (let luxury = 10; luxury >= least; luxury--) {
    const columns = all.filter((column) => column.luxury < luxury);
    const used = columns.reduce((total, column) => total + column.width, 0);
    if (used <= width) return columns;
  }
  return undefined;
}
