/** Tables, whose columns are as wide as their widest cell. */
import { cutParts, partWidth, span, type Part, type Terminal } from "./terminal.ts";

const GAP = 2;
const REASON_INDENT = 4;
/** How many columns of a terminal the last column keeps, where others can be left out for it. */
const LAST_WIDTH = 24;

/** How many columns of a terminal a table takes. */
export function tableWidth(head: readonly string[], rows: readonly (readonly Part[])[]): number {
  return widthsOf(head, rows).reduce((sum, width) => sum + width, GAP * (head.length - 1));
}

/** The same, where what is in the last column may be cut. */
function leastWidth(head: readonly string[], rows: readonly (readonly Part[])[]): number {
  const cut = Math.max(0, (widthsOf(head, rows).at(-1) ?? 0) - LAST_WIDTH);
  return tableWidth(head, rows) - cut;
}

function widthsOf(head: readonly string[], rows: readonly (readonly Part[])[]): number[] {
  // Not by spreading: there may be more rows than a call takes arguments.
  return head.map((title, column) =>
    rows.reduce((width, row) => Math.max(width, partWidth(row[column] ?? "")), partWidth(title)),
  );
}

/** How a table is made to fit. */
interface TableOptions {
  /**
   * The last column says why: where the terminal is too narrow for the table, what it says stands
   * whole below its row.
   */
  readonly reasons?: boolean;
  /** Titles of columns that are left out where the terminal is too narrow, the first one first. */
  readonly spare?: readonly string[];
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
  { reasons = false, spare = [] }: TableOptions = {},
): void {
  const { columns = Number.POSITIVE_INFINITY } = terminal;
  const [first, ...others] = spare;
  if (first !== undefined && leastWidth(head, rows) > columns) {
    const without = <T>(cells: readonly T[]): T[] => cells.toSpliced(head.indexOf(first), 1);
    return printTable(terminal, without(head), rows.map(without), { reasons, spare: others });
  }
  if (reasons && tableWidth(head, rows) > columns) return printBelow(terminal, head, rows);
  const widths = widthsOf(head, rows);
  const limit = terminal.columns;
  const print = (cells: readonly Part[]): void => {
    const parts = padded(cells, widths);
    terminal.line(limit === undefined ? parts : cutParts(parts, limit));
  };
  print(head.map((title) => span("dim", title)));
  for (const row of rows) print(row);
}

/** Prints a table whose last column stands below each row. */
function printBelow(
  terminal: Terminal,
  head: readonly string[],
  rows: readonly (readonly Part[])[],
): void {
  const before = rows.map((row) => row.slice(0, -1));
  const widths = widthsOf(head.slice(0, -1), before);
  const print = (cells: readonly Part[]): void => {
    const parts = padded(cells, widths);
    terminal.line(cutParts(parts, terminal.columns ?? Number.POSITIVE_INFINITY));
  };
  print(head.slice(0, -1).map((title) => span("dim", title)));
  for (const [index, cells] of before.entries()) {
    print(cells);
    const reason = rows[index]!.at(-1) ?? "";
    if (partWidth(reason) > 0) terminal.line(" ".repeat(REASON_INDENT), reason);
  }
}

/** The cells of a row, each but the last as wide as its column. */
function padded(cells: readonly Part[], widths: readonly number[]): Part[] {
  return cells.map((cell, column) =>
    column === cells.length - 1
      ? cell
      : [cell, " ".repeat((widths[column] ?? 0) - partWidth(cell) + GAP)],
  );
}
