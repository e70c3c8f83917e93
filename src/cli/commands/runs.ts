/** `orchd runs [PIPELINE]`: the history, newest first. */
import type { PipelineCounts } from "../../core/pipeline-state.ts";
import { STATUSES } from "../../core/status.ts";
import { RunStore } from "../../ledger/run-store.ts";
import { countText } from "../../core/counted.ts";
import { knownPipeline } from "../../views/known-pipeline.ts";
import { timeText } from "../../views/moment.ts";
import { readPipeline } from "../../views/pipeline-reading.ts";
import { newestRuns } from "../../views/run-list.ts";
import type { CommandContext } from "../command.ts";
import { EXIT, seen, usageError, type ExitStatus } from "../exit.ts";
import { parseCount } from "../number-text.ts";
import { statusMark, statusSpan } from "../render.ts";
import { printTable } from "../table.ts";
import { span, type Terminal } from "../terminal.ts";
import { betweenText, parseTime } from "../time-text.ts";

const DEFAULT_NUMBER = 20;

/** Runs the command. */
export async function run({ args, roots, terminal }: CommandContext): Promise<ExitStatus> {
  const pipeline = args.text("pipeline");
  const status = args.text("status");
  const number = parseCount(args.text("number"), "--number", DEFAULT_NUMBER);
  const since = args.text("since");
  const sinceMs =
    since === undefined ? Number.NEGATIVE_INFINITY : parseTime(since, "--since", Date.now());
  if (status !== undefined && !(STATUSES as readonly string[]).includes(status)) {
    throw usageError(
      `--status: "${status}" is no status; the statuses are ${STATUSES.join(", ")}.`,
    );
  }
  if (pipeline !== undefined) seen(knownPipeline(roots, pipeline));
  const store = new RunStore(roots.runs);
  const found = newestRuns(store, pipeline === undefined ? store.pipelines() : [pipeline], {
    status,
    sinceMs,
    number,
  });
  if (args.flag("json")) {
    terminal.json(found);
    return EXIT.done;
  }
  if (pipeline !== undefined)
    sayCounts(terminal, pipeline, readPipeline(store, pipeline)?.state.counts ?? {});
  if (found.length === 0) terminal.note("no such runs.");
  else {
    printTable(
      terminal,
      ["", "RUN", "STATUS", "TRIGGER", "STARTED", "TOOK", "BECAUSE"],
      found.map((it) => [
        statusMark(it.status),
        span("bold", it.run),
        statusSpan(it.status),
        it.trigger.kind,
        timeText(it.startedAt),
        betweenText(it.startedAt, it.finishedAt ?? (it.inProgress ? Date.now() : null)),
        it.because ?? "",
      ]),
      // A run's id says what asked for it, and when.
      { spare: ["TRIGGER", "STARTED"] },
    );
  }
  return EXIT.done;
}

/** Slots without a run are part of the history too. */
function sayCounts(
  terminal: Terminal,
  pipeline: string,
  { skipped = 0, missed = 0 }: PipelineCounts,
): void {
  if (skipped + missed > 0)
    terminal.note(
      `${countText(skipped, "slot")} of ${pipeline} skipped, ${missed} missed; ` +
        `\`orchd why ${pipeline} TIME\` says why.`,
    );
}
