/** Rows as tables of docs/performance.md: what a bench prints can be pasted there as it stands. */
import { cpuOf, reached, wallOf, type Figure, type Row } from "./row.ts";

/** A figure with as many digits as it deserves. */
export function digits(value: number): string {
  if (Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1_000) return Math.round(value).toLocaleString("en");
  return size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** Microseconds, in milliseconds from one on. */
const processor = (us: number): string =>
  us >= 1_000 ? `${digits(us / 1_000)} ms` : `${us >= 10 ? Math.round(us) : digits(us)} µs`;

/** `1.39x: 1.21 ms beside 0.87 ms`, or without a peer `1.21 ms`. */
function figureText(figure: Figure, text: (value: number) => string): string {
  const { orchd, beside, ratio } = figure;
  if (ratio === undefined || beside === undefined) return text(orchd);
  // Nothing divided by nothing is no ratio.
  const head = Number.isFinite(ratio) ? `${digits(ratio)}x: ` : "";
  return `${head}${text(orchd)} beside ${text(beside)}`;
}

function goalText({ goal, cpuAtMost, unit }: Row): string {
  const wall =
    goal === undefined
      ? ""
      : (goal.atMost === undefined
          ? `at least ${digits(goal.atLeast!)}`
          : `at most ${digits(goal.atMost)}`) + (goal.of === "ratio" ? "x" : ` ${unit}`);
  const cpu = cpuAtMost === undefined ? "" : `${digits(cpuAtMost)}x the CPU`;
  return [wall, cpu].filter(Boolean).join(", ") || "–";
}

const VERDICTS = new Map<boolean | undefined, string>([
  [true, "reached"],
  [false, "**missed**"],
]);

const HEAD = ["what", "beside it", "goal", "wall time, rate or size", "CPU", ""];

/** The rows as a Markdown table, padded so that it also reads as plain text. */
export function tableOf(rows: readonly Row[]): string {
  return markdown([
    HEAD,
    ...rows.map((row) => {
      const cpu = cpuOf(row);
      return [
        row.what,
        row.beside?.name ?? "–",
        goalText(row),
        figureText(wallOf(row), (value) => `${digits(value)} ${row.unit}`),
        cpu === undefined ? "–" : figureText(cpu, processor),
        VERDICTS.get(reached(row)) ?? "",
      ];
    }),
  ]);
}

/** Cells as a Markdown table, the first line of them as its head. */
export function markdown(cells: readonly (readonly string[])[]): string {
  const widths = cells[0]!.map((_, column) =>
    Math.max(3, ...cells.map((line) => line[column]!.length)),
  );
  const lines = cells.map(
    (line) => `| ${line.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`,
  );
  lines.splice(1, 0, `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`);
  return lines.join("\n");
}
