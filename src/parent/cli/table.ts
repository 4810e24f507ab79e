/** Spaces after the widest cell of a column, the last one included. */
const PADDING = 4;

/** Lines of cells that stand below each other; the first row has the headings. */
export function tableOf(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map(
    (_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)) + PADDING,
  );
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(''));
}
