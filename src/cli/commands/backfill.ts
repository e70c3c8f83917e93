/**
 * `orchd backfill PIPELINE --from T --to T`: asks for runs of past slots; the dry run says what
 * that would be.
 */
import { formatDuration } from "../../core/duration.ts";
import { snapshotFor } from "../../core/compile.ts";
import { parseRunId, runIdForSlot } from "../../core/run-id.ts";
import { runStatus } from "../../core/run-status.ts";
import { timetable, type DueSlot } from "../../core/schedule/schedule.ts";
import { iso } from "../../core/time.ts";
import { RunStore } from "../../ledger/run-store.ts";
import { ask, report } from "../ask.ts";
import { CacheForecast } from "../../views/cache-forecast.ts";
import type { CommandContext } from "../command.ts";
import { EXIT, usageError, type ExitStatus } from "../exit.ts";
import { requirePipeline } from "../known-pipeline.ts";
import { loadPipeline, readSettings } from "../load-pipelines.ts";
import { parseCount } from "../number-text.ts";
import { countText } from "../render.ts";
import { runsBackwards } from "../../views/run-history.ts";
import { readRun } from "../../views/run-view.ts";
import { parseTime, timeText } from "../time-text.ts";

const MOST_SLOTS = 1_000_000;
const HISTORY_RUNS = 100;
const FORECAST_SLOTS = 2_000;

type Which = "missing" | "failed" | "all";

/** Runs the command. */
export async function run(context: CommandContext): Promise<ExitStatus> {
  const { args, roots } = context;
  const cancelled = args.text("cancel");
  if (cancelled !== undefined) {
    return report(
      context,
      await ask(context, { type: "cancel_backfill", id: cancelled }),
      () => `backfill ${cancelled} makes no more runs; those that have begun go on`,
    );
  }
  const pipeline = args.text("pipeline");
  if (pipeline === undefined)
    throw usageError(
      "name a pipeline: `orchd backfill PIPELINE --from T --to T`, or --cancel ID to end a backfill.",
    );
  requirePipeline(roots, pipeline);
  const now = Date.now();
  const [fromText, toText] = [args.text("from"), args.text("to")];
  if (fromText === undefined || toText === undefined)
    throw usageError(
      "--from and --to are both needed; the slots between them, both included, are what is backfilled.",
    );
  const from = parseTime(fromText, "--from", now);
  const to = parseTime(toText, "--to", now);
  if (to < from)
    throw usageError(`--to (${timeText(to)}) lies before --from (${timeText(from)}); swap them.`);
  const chosen = (["missing", "failed", "all"] as const).filter((name) => args.flag(name));
  if (chosen.length > 1)
    throw usageError(`--${chosen.join(" and --")} exclude each other; give one of them.`);
  const which = chosen[0] ?? "missing";
  const maxActive =
    args.text("max-active") === undefined
      ? undefined
      : parseCount(args.text("max-active"), "--max-active", 1);
  if (args.flag("dry-run"))
    return dryRun(context, {
      pipeline,
      from,
      to: Math.min(to, now),
      which,
      maxActive: maxActive ?? 1,
    });
  const question = {
    type: "backfill" as const,
    pipeline,
    from: iso(from),
    to: iso(to),
    which,
    ...(maxActive === undefined ? {} : { maxActive }),
  };
  const answer = await ask(context, question);
  return report(
    context,
    answer,
    ({ reason }) =>
      `backfill ${answer.id} is under way${reason === undefined ? "" : `: ${reason}`}; \`orchd backfill --cancel ${answer.id}\` ends it`,
  );
}

interface Wanted {
  readonly pipeline: string;
  readonly from: number;
  readonly to: number;
  readonly which: Which;
  readonly maxActive: number;
}

async function dryRun(
  { args, roots, terminal }: CommandContext,
  wanted: Wanted,
): Promise<ExitStatus> {
  const { pipeline, from, to, which, maxActive } = wanted;
  const file = await loadPipeline(roots, pipeline);
  if (file === undefined)
    throw usageError(`the file of "${pipeline}" is gone; a backfill needs it.`);
  if (!file.ok) throw usageError(`${file.errors.join("; ")}; correct the file first.`);
  const store = new RunStore(roots.runs);
  const { loaded } = file;
  const slots = slotsBetween(loaded.name, loaded.schedules, from, to);
  const runs = runsOfSlots(store, pipeline, from, to);
  const due = slots.filter((slot) => isWanted(store, which, runs.get(slotRun(pipeline, slot))));
  const forecast = new CacheForecast(store, await readSettings(roots));
  let steps = 0;
  let cachedSteps = 0;
  let answered = 0;
  for (const slot of due.slice(0, FORECAST_SLOTS)) {
    const bound = snapshotFor(loaded, slot.schedule.params ?? {});
    if (!bound.ok || bound.snapshot.dynamic !== undefined) continue;
    const cached = forecast.cachedSteps(
      bound.snapshot,
      `${slotRun(pipeline, slot)}-b1`,
      iso(slot.slot),
      Date.now(),
    );
    steps += bound.snapshot.steps.length;
    cachedSteps += cached.length;
    if (cached.length === bound.snapshot.steps.length && cached.length > 0) answered += 1;
  }
  forecast.close();
  const typical = typicalMs(store, pipeline);
  const executes = due.length - answered;
  const tookMs = typical === null ? null : Math.ceil(executes / maxActive) * typical;
  const result = {
    pipeline,
    from: iso(from),
    to: iso(to),
    which,
    slots: slots.length,
    runs: due.length,
    executes,
    cached: answered,
    steps: { total: steps, cached: cachedSteps },
    estimatedMs: tookMs,
    first: due[0] === undefined ? null : iso(due[0].slot),
    last: due.at(-1) === undefined ? null : iso(due.at(-1)!.slot),
  };
  if (args.flag("json")) {
    terminal.json(result);
    return EXIT.done;
  }
  terminal.line(
    `${countText(slots.length, "slot")} of ${pipeline} from ${timeText(from)} to ${timeText(to)}; ${countText(due.length, "run")} would be made (${which})`,
  );
  if (due.length > 0) {
    terminal.line(
      `${countText(executes, "run")} would execute, the cache answers ${answered} whole and ${cachedSteps} of ${countText(steps, "step")}${due.length > FORECAST_SLOTS ? ` of the first ${FORECAST_SLOTS} slots` : ""}`,
    );
    terminal.line(
      tookMs === null
        ? "how long that takes is not known: no run of it has completed yet"
        : `about ${formatDuration(tookMs)}, ${maxActive} at once, by what its runs took so far`,
    );
  }
  return EXIT.done;
}

/** The slots, not the due times, from `from` through `to`. */
function slotsBetween(
  pipeline: string,
  schedules: Parameters<typeof timetable>[1],
  from: number,
  to: number,
): DueSlot[] {
  const reach = Math.max(0, ...schedules.map(({ jitterSeconds }) => jitterSeconds * 1_000));
  return timetable(pipeline, schedules)
    .dueSlots(from - 1, to + reach, MOST_SLOTS)
    .filter(({ slot }) => slot >= from && slot <= to);
}

function slotRun(pipeline: string, { slot, lane }: DueSlot): string {
  return runIdForSlot(pipeline, slot, lane);
}

/** The newest run of each slot that has any, by the id of the slot's scheduled run. */
function runsOfSlots(
  store: RunStore,
  pipeline: string,
  from: number,
  to: number,
): Map<string, string> {
  const newest = new Map<string, string>();
  for (const run of store.list(pipeline)) {
    const id = parseRunId(run);
    if (id?.slot === undefined || id.stampMs < from || id.stampMs > to) continue;
    const slot = runIdForSlot(pipeline, id.stampMs, id.schedule);
    const before = newest.get(slot);
    // Of one slot the backfills come after the run itself, and a re-run after what it re-ran.
    if (before === undefined || rank(run) >= rank(before)) newest.set(slot, run);
  }
  return newest;
}

function rank(run: string): number {
  const id = parseRunId(run);
  return (id?.backfill ?? 0) * 1_000_000 + (id?.rerun ?? 0);
}

function isWanted(store: RunStore, which: Which, run: string | undefined): boolean {
  if (which === "all") return true;
  if (run === undefined) return which === "missing";
  if (which === "missing") return false;
  try {
    const { status } = runStatus(readRun(store, run).state);
    return status === "failed" || status === "stopped";
  } catch {
    return false;
  }
}

/** The median of what its completed runs took; null without any. */
function typicalMs(store: RunStore, pipeline: string): number | null {
  const durations: number[] = [];
  for (const { durationMs, status } of runsBackwards(store, pipeline)) {
    if (durationMs !== undefined && status === "completed") durations.push(durationMs);
    if (durations.length === HISTORY_RUNS) break;
  }
  return durations.length === 0
    ? null
    : durations.toSorted((a, b) => a - b)[Math.floor((durations.length - 1) / 2)]!;
}
