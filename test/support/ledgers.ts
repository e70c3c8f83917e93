/**
 * How an outsider sees a runs folder: the independent reader reads every ledger, and the facts
 * between the ledgers are checked.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readWholeLedger, type PlainLine } from "./independent-ledger.ts";

/** One run, as the bytes of its ledger say. */
export interface PlainRun {
  readonly run: string;
  readonly path: string;
  readonly lines: readonly PlainLine[];
}

/** Every run ledger of a pipeline, oldest id first. Each must be whole. */
export function runsOf(runs: string, pipeline: string): PlainRun[] {
  const folder = join(runs, pipeline);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => /^\d{4}-\d\d$/.test(name))
    .flatMap((month) =>
      readdirSync(join(folder, month))
        .filter((name) => name.endsWith(".jsonl") && !name.startsWith("."))
        .map((name) => {
          const path = join(folder, month, name);
          return { run: name.slice(0, -".jsonl".length), path, lines: readWholeLedger(path) };
        }),
    )
    .sort((a, b) => (a.run < b.run ? -1 : 1));
}

/** The pipeline's own ledger, which must be whole. */
export function pipelineLedger(runs: string, pipeline: string): PlainLine[] {
  return readWholeLedger(join(runs, pipeline, "pipeline.jsonl"));
}

/** How a run ended, by its last line; undefined if it has not ended. */
export function outcomeOf(run: PlainRun): string | undefined {
  const last = run.lines.at(-1);
  return last?.type === "run.finished" ? String(last["status"]) : undefined;
}

/**
 * The seconds, from the first slot to the last, for which the pipeline's ledger has no decision or
 * more than one. For a pipeline that is due each second.
 */
export function undecidedSeconds(lines: readonly PlainLine[]): string[] {
  const decided = new Map<number, number>();
  let first = Number.POSITIVE_INFINITY;
  let last = 0;
  for (const line of lines) {
    if (!["slot.fired", "slot.caught_up", "slot.skipped", "slot.missed"].includes(line.type))
      continue;
    const from = Date.parse(String(line["slot"])) / 1_000;
    const to = line["until"] === undefined ? from : Date.parse(String(line["until"])) / 1_000;
    first = Math.min(first, from);
    last = Math.max(last, to);
    for (let second = from; second <= to; second += 1)
      decided.set(second, (decided.get(second) ?? 0) + 1);
  }
  const faults: string[] = [];
  for (let second = first; second <= last; second += 1) {
    const times = decided.get(second) ?? 0;
    if (times !== 1)
      faults.push(`${new Date(second * 1_000).toISOString()} has ${times} decisions`);
  }
  return faults;
}

/** The pids of processes whose environment or command line holds `marker`. */
export function processesWith(marker: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter(
      (pid) =>
        ["environ", "cmdline"].some((file) => procText(pid, file).includes(marker)) &&
        !/^State:\s+Z/m.test(procText(pid, "status")),
    )
    .map(Number);
}

/** The children of a process: a daemon's runners. */
export function childrenOf(pid: number): number[] {
  return readdirSync("/proc")
    .filter(
      (name) =>
        /^\d+$/.test(name) && new RegExp(`^PPid:\\s+${pid}$`, "m").test(procText(name, "status")),
    )
    .map(Number);
}

function procText(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "latin1");
  } catch {
    return "";
  }
}
