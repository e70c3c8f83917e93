/**
 * One line of a bench's table: what orchd takes, and what the raw primitive under it takes,
 * measured in the same run.
 */

/** A figure and where it came from. */
export interface Measured {
  /** What was measured, as the table names it. */
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
    | "open";
  readonly orchd: Measured;
  /** The floor, or a peer that does the same work. The ratio is orchd's median over its median. */
  readonly beside?: Measured | undefined;
  /**
   * What docs/performance.md sets as a goal: a limit of the ratio, or of orchd's own figure where
   * `of` is "orchd".
   */
  readonly goal?:
    | { readonly of: "ratio" | "orchd"; readonly atMost?: number; readonly atLeast?: number }
    | undefined;
}

/** A bench: measures, and gives its rows. */
export interface Bench {
  run(): Promise<Row[]>;
}

/** The middle of the samples; of an even count the mean of the two. */
export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

/** The value below which a share `q` of the samples lies, interpolated. */
export function quantile(samples: readonly number[], q: number): number {
  if (samples.length === 0) return Number.NaN;
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const below = sorted[Math.floor(at)]!;
  return below + (sorted[Math.ceil(at)]! - below) * (at - Math.floor(at));
}

/**
 * Runs `once` so many times, after so many that do not count, and gives each one's milliseconds.
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

/** The best sample: the greatest of a rate, the least of anything else. */
function best(row: Row, samples: readonly number[]): number {
  return row.unit.endsWith("/s") ? Math.max(...samples) : Math.min(...samples);
}

/** orchd's median over the other's. */
export function ratioOf(row: Row): number {
  return row.beside ? median(row.orchd.samples) / median(row.beside.samples) : Number.NaN;
}

/** Whether the row reaches its goal; undefined where it has none. */
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

/** The rows as a Markdown table, padded so that it reads as text too. */
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
