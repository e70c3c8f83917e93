/** `orchd runs [PIPELINE]`: the history, newest first. */
import type { PipelineCounts } from "../../core/pipeline-state.ts";
import { STATUSES } from "../../core/status.ts";
import { RunStore } from "../../ledger/run-store.ts";
import type { CommandContext } from "../command.ts";
import { EXIT, usageError, type ExitStatus } from "../exit.ts";
import { requirePipeline } from "../known-pipeline.ts";
import { parseCount } from "../number-text.ts";
import { readPipeline } from "../../views/pipeline-view.ts";
import { countText, statusMark, statusSpan } from "../render.ts";
import { runsBackwards, type RunMention } from "../../views/run-history.ts";
import { readRun, viewRun, type RunView } from "../../views/run-view.ts";
import { printTable } from "../table.ts";
import { span, type Terminal } from "../terminal.ts";
import { betweenText, parseTime, timeText } from "../time-text.ts";

const DEFAULT_NUMBER = 20;

/** One run of `orchd runs --json`. */
export type RunSummary = Omit<RunView, "steps" | "fault"> & {
  readonly durationMs: number | null;
  readonly steps: number;
};

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
  if (pipeline !== undefined) requirePipeline(roots, pipeline);
  const store = new RunStore(roots.runs);
  const found = newest(store, pipeline === undefined ? store.pipelines() : [pipeline], {
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
    );
  }
  return EXIT.done;
}

/** Slots that made no run are no runs, and yet part of the history. */
function sayCounts(
  terminal: Terminal,
  pipeline: string,
  { skipped = 0, missed = 0 }: PipelineCounts,
): void {
  if (skipped + missed > 0)
    terminal.note(
      `${countText(skipped, "slot")} of ${pipeline} skipped, ${missed} missed; \`orchd why ${pipeline} TIME\` says why.`,
    );
}

interface Filter {
  readonly status: string | undefined;
  readonly sinceMs: number;
  readonly number: number;
}

/**
 * The newest runs of all these pipelines: their histories are merged, so that no more is read than
 * is shown.
 */
function newest(store: RunStore, pipelines: readonly string[], filter: Filter): RunSummary[] {
  const heads: { readonly source: Generator<RunMention>; mention: RunMention }[] = [];
  for (const pipeline of pipelines) {
    const source = runsBackwards(store, pipeline);
    const first = source.next();
    if (first.done !== true) heads.push({ source, mention: first.value });
  }
  const found: RunSummary[] = [];
  while (found.length < filter.number && heads.length > 0) {
    let best = 0;
    for (let index = 1; index < heads.length; index += 1)
      if (heads[index]!.mention.at > heads[best]!.mention.at) best = index;
    const { source, mention } = heads[best]!;
    const next = source.next();
    if (next.done === true) heads.splice(best, 1);
    else heads[best]!.mention = next.value;
    // A line is never older than what it tells of, and the newest come first: nothing that follows
    // in this pipeline is newer.
    if (Date.parse(mention.at) < filter.sinceMs) {
      const at = heads.findIndex((head) => head.source === source);
      if (at >= 0) heads.splice(at, 1);
      continue;
    }
    const summary = summarize(store, mention, filter);
    if (summary !== undefined) found.push(summary);
  }
  return found.toSorted((a, b) =>
    a.submittedAt < b.submittedAt ? 1 : a.submittedAt > b.submittedAt ? -1 : 0,
  );
}

function summarize(store: RunStore, mention: RunMention, filter: Filter): RunSummary | undefined {
  // The end is told in the pipeline's ledger: runs that ended otherwise need not be opened.
  if (
    filter.status !== undefined &&
    mention.status !== undefined &&
    mention.status !== filter.status
  )
    return undefined;
  if (!store.exists(mention.run)) return undefined;
  let view: RunView;
  try {
    view = viewRun(readRun(store, mention.run));
  } catch {
    // A ledger that cannot be read is `orchd verify`'s to speak of; the other runs are still shown.
    return undefined;
  }
  if (
    (filter.status !== undefined && view.status !== filter.status) ||
    Date.parse(view.submittedAt) < filter.sinceMs
  )
    return undefined;
  const { steps, fault: _fault, ...rest } = view;
  return {
    ...rest,
    durationMs:
      view.startedAt === null || view.finishedAt === null
        ? null
        : Date.parse(view.finishedAt) - Date.parse(view.startedAt),
    steps: steps.length,
  };
}
