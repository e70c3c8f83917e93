/** Tables, whose columns are as wide as their widest cell. */
import { cutParts, partWidth, span, type Part, type Terminal } from "./terminal.ts";

const GAP = 2;

/** How many columns of a terminal a table takes. */
export function tableWidth(head: readonly string[], rows: readonly (readonly Part[])[]): number {
  return widthsOf(head, rows).reduce((sum, width) => sum + width, GAP * (head.length - 1));
}

function widthsOf(head: readonly string[], rows: readonly (readonly Part[])[]): number[] {
  return head.map((title, column) =>
    Math.max(partWidth(title), ...rows.map((row) => partWidth(row[column] ?? ""))),
  );
}

/**
 * Prints a table. The last column is not padded. On a terminal a row is cut at the end of the line,
 * so that it stays one line.
 *
 * @param head a title for each column
 */
export function printTable(
  terminal: Terminal,
  head: readonly string[],
  rows: readonly (readonly Part[])[],
): void {
  const widths = widthsOf(head, rows);
  const limit = terminal.columns;
  const print = (cells: readonly Part[]): void => {
    const parts = cells.map((cell, column) =>
      column === cells.length - 1
        ? cell
        : [cell, " ".repeat((widths[column] ?? 0) - partWidth(cell) + GAP)],
    );
    terminal.line(limit === undefined ? parts : cutParts(parts, limit));
  };
  print(head.map((title) => span("dim", title)));
  for (const row of rows) print(row);
}
