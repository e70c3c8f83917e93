/**
 * One line of a bench's table: what orchd needs, and what the raw primitive under it needs,
 * measured in the same run.
 */

/** A figure, and what it was measured on. */
export interface Measured {
  /** How the table names what was measured. */
  readonly name: string;
  readonly samples: readonly number[];
}

/** What a bench gives. */
export interface Row {
  readonly what: string;
  readonly unit:
    | "µs"
    | "ms"
    | "s"
    | "MiB"
    | "%"
    | "lines/s"
    | "steps/s"
    | "bytes"
    | "KiB"
    | "files"
    | "open"
    | "turns";
  readonly orchd: Measured;
  /**
   * The floor, or a peer that does the same work. The ratio is orchd's median divided by this one.
   */
  readonly beside?: Measured | undefined;
  /**
   * The goal of docs/performance.md: a limit for the ratio, or for orchd's own median if `of` is
   * "orchd".
   */
  readonly goal?:
    | { readonly of: "ratio" | "orchd"; readonly atMost?: number; readonly atLeast?: number }
    | undefined;
}

/** What each bench exports. */
export interface Bench {
  run(): Promise<Row[]>;
}

/** The middle sample; for an even count the mean of the two middle ones. */
export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

/** The value below which a share `q` (0 to 1) of the samples lies, interpolated. */
export function quantile(samples: readonly number[], q: number): number {
  if (samples.length === 0) return Number.NaN;
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const below = sorted[Math.floor(at)]!;
  return below + (sorted[Math.ceil(at)]! - below) * (at - Math.floor(at));
}

/**
 * Calls `once` `warmup` times without measuring, then `count` times.
 *
 * @returns the milliseconds of each measured call
 */
export async function timed(
  count: number,
  warmup: number,
  once: (index: number) => unknown,
): Promise<number[]> {
  const samples: number[] = [];
  for (let index = -warmup; index < count; index += 1) {
    const start = performance.now();
    await once(index);
    if (index >= 0) samples.push(performance.now() - start);
  }
  return samples;
}

const digits = (value: number): string =>
  Number.isNaN(value)
    ? "–"
    : value >= 1000
      ? Math.round(value).toLocaleString("en")
      : value >= 10
        ? value.toFixed(1)
        : value.toFixed(2);

/** The best sample: the greatest rate, or the least of anything else. */
function best(row: Row, samples: readonly number[]): number {
  return row.unit.endsWith("/s") ? Math.max(...samples) : Math.min(...samples);
}

/** orchd's median divided by the other's; NaN if nothing stands beside it. */
export function ratioOf(row: Row): number {
  return row.beside ? median(row.orchd.samples) / median(row.beside.samples) : Number.NaN;
}

/** Whether the row reaches its goal; undefined if it has none. */
export function reached(row: Row): boolean | undefined {
  if (!row.goal) return undefined;
  const value = row.goal.of === "ratio" ? ratioOf(row) : median(row.orchd.samples);
  return (
    value <= (row.goal.atMost ?? Number.POSITIVE_INFINITY) &&
    value >= (row.goal.atLeast ?? Number.NEGATIVE_INFINITY)
  );
}

function goalText(row: Row): string {
  if (!row.goal) return "";
  const unit = row.goal.of === "ratio" ? "x" : ` ${row.unit}`;
  const limit =
    row.goal.atMost === undefined
      ? `>= ${digits(row.goal.atLeast!)}`
      : `<= ${digits(row.goal.atMost)}`;
  return `${limit}${unit} ${reached(row) === true ? "reached" : "MISSED"}`;
}

/** The rows as a Markdown table, padded so that it also reads as plain text. */
export function tableOf(rows: readonly Row[]): string {
  const cells = [
    ["what", "orchd: median", "best", "unit", "beside", "median", "best", "ratio", "goal"],
    ...rows.map((row) => [
      row.what,
      digits(median(row.orchd.samples)),
      digits(best(row, row.orchd.samples)),
      row.unit,
      row.beside?.name ?? "",
      row.beside ? digits(median(row.beside.samples)) : "",
      row.beside ? digits(best(row, row.beside.samples)) : "",
      row.beside ? `${digits(ratioOf(row))}x` : "",
      goalText(row),
    ]),
  ];
  const widths = cells[0]!.map((_, column) =>
    Math.max(...cells.map((line) => line[column]!.length)),
  );
  const lines = cells.map(
    (line) => `| ${line.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`,
  );
  lines.splice(1, 0, `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`);
  return lines.join("\n");
}
