/**
 * What the pipelines' own ledgers say about runs that ended. This reads the public format of
 * docs/ledger.md, and knows nothing about orchd's code.
 */
import { readdir, readFile } from "node:fs/promises";
import * as z from "zod";

/**
 * The one kind of line that matters here. All other lines of the ledger are skipped, as the format
 * asks of readers.
 */
const endingSchema = z.object({
  type: z.literal("run.finished"),
  at: z.iso.datetime(),
  run: z.string(),
  status: z.string(),
  durationMs: z.number(),
});

/** How one run ended. */
export interface Ending {
  readonly pipeline: string;
  readonly run: string;
  readonly status: string;
  readonly durationMs: number;
}

/** How a pipeline's runs ended. */
export interface Summary {
  readonly pipeline: string;
  readonly runs: number;
  readonly failed: number;
  readonly medianMs: number;
  readonly slowestMs: number;
}

/**
 * Reads every pipeline's ledger below `runs`.
 *
 * @param since milliseconds since 1970
 * @returns how each run ended that ended at `since` or later
 */
export async function readEndings(runs: URL, since: number): Promise<Ending[]> {
  const folders = await readdir(runs, { withFileTypes: true });
  const endings = await Promise.all(
    folders
      .filter((folder) => folder.isDirectory() && !folder.name.startsWith("."))
      .map(async ({ name }) => {
        const text = await readFile(new URL(`${name}/pipeline.jsonl`, runs), "utf8").catch(
          () => "",
        );
        return text
          .split("\n")
          .flatMap((line) =>
            line.includes('"run.finished"') ? [endingSchema.safeParse(parse(line))] : [],
          )
          .flatMap((line) => (line.success && Date.parse(line.data.at) >= since ? [line.data] : []))
          .map(({ run, status, durationMs }) => ({ pipeline: name, run, status, durationMs }));
      }),
  );
  return endings.flat();
}

/** One summary for each pipeline, sorted by name. */
export function summarise(endings: readonly Ending[]): Summary[] {
  return [...grouped(endings)]
    .map(([pipeline, its]) => {
      const durations = its.map(({ durationMs }) => durationMs).sort((a, b) => a - b);
      return {
        pipeline,
        runs: its.length,
        failed: its.filter(({ status }) => status === "failed").length,
        medianMs: Math.round(durations[Math.floor((durations.length - 1) / 2)] ?? 0),
        slowestMs: Math.round(durations.at(-1) ?? 0),
      };
    })
    .sort((a, b) => a.pipeline.localeCompare(b.pipeline));
}

/** The summaries as a text table. */
export function table(summaries: readonly Summary[]): string {
  const rows = [["PIPELINE", "RUNS", "FAILED", "MEDIAN", "SLOWEST"], ...summaries.map(row)];
  const widths = rows[0]!.map((_, column) =>
    Math.max(...rows.map((cells) => cells[column]!.length)),
  );
  return rows
    .map((cells) =>
      cells
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!),
        )
        .join("  "),
    )
    .join("\n");
}

const row = (one: Summary): string[] => [
  one.pipeline,
  `${one.runs}`,
  `${one.failed}`,
  `${one.medianMs} ms`,
  `${one.slowestMs} ms`,
];

/** A line as JSON; undefined for half a line, which may stand at the end of a live ledger. */
function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function grouped(endings: readonly Ending[]): Map<string, Ending[]> {
  const groups = new Map<string, Ending[]>();
  for (const ending of endings)
    groups.set(ending.pipeline, [...(groups.get(ending.pipeline) ?? []), ending]);
  return groups;
}
