/** `orchd why PIPELINE TIME`: why a slot did or did not run, as a sentence, from the pipeline's ledger. */
import { runStatus } from "../core/run-state.ts";
import { timetable } from "../core/schedule.ts";
import { formatDuration } from "../core/duration.ts";
import { RunStore } from "../ledger/run-store.ts";
import { daemonRuns } from "./ask.ts";
import type { CommandContext } from "./command.ts";
import { EXIT, type ExitStatus } from "./exit.ts";
import { requirePipeline } from "./known-pipeline.ts";
import { readPipeline, schedulesInForce } from "./pipeline-view.ts";
import { listText } from "./render.ts";
import { linesBackwards } from "./run-history.ts";
import { readRun } from "./run-view.ts";
import { parseTime } from "./time-text.ts";

/** What became of a slot. */
export interface SlotAnswer {
  readonly pipeline: string;
  /** The slot, ISO 8601; null where none was due then. */
  readonly slot: string | null;
  /** `none`: no slot was due; `pending`: it is due and not decided yet; `coming`: it lies ahead. */
  readonly decision: "fired" | "caught_up" | "skipped" | "missed" | "backfilled" | "none" | "pending" | "coming";
  readonly because: string | null;
  readonly schedule: string | null;
  /** The run that was made for it. */
  readonly run: string | null;
  readonly status: string | null;
  /** When it was decided, ISO 8601. */
  readonly decidedAt: string | null;
}

/** Runs the command. */
export async function run({ args, roots, terminal }: CommandContext): Promise<ExitStatus> {
  const pipeline = args.text("pipeline")!;
  const text = args.text("time")!;
  const now = Date.now();
  const time = Math.floor(parseTime(text, "TIME", now) / 1_000) * 1_000;
  requirePipeline(roots, pipeline);
  const store = new RunStore(roots.runs);
  // A time without seconds means its minute: people say "02:00" of a slot at 02:00:30 too.
  const until = /T?\d\d:\d\d(Z|[+-]\d\d:?\d\d)?$/i.test(text.trim()) && !/\d\d:\d\d:\d\d/.test(text) ? time + 59_000 : time;
  const answers = decisions(store, pipeline, time, until);
  if (answers.length === 0) answers.push(undecided(store, pipeline, time, until, now));
  if (args.flag("json"))
    terminal.json(
      answers.length === 1
        ? { ...answers[0], sentence: sentence(answers[0]!, store, roots.runs, time, now) }
        : answers.map((answer) => ({ ...answer, sentence: sentence(answer, store, roots.runs, time, now) })),
    );
  else for (const answer of answers) terminal.line(sentence(answer, store, roots.runs, time, now));
  return EXIT.done;
}

const DECISIONS: Readonly<Record<string, SlotAnswer["decision"]>> = {
  "slot.fired": "fired",
  "slot.caught_up": "caught_up",
  "slot.skipped": "skipped",
  "slot.missed": "missed",
  "slot.backfilled": "backfilled",
};

/** The newest decision of each slot from `time` through `until`, and every backfill of it. */
function decisions(store: RunStore, pipeline: string, time: number, until: number): SlotAnswer[] {
  const found: SlotAnswer[] = [];
  const decided = new Set<string>();
  for (const line of linesBackwards(store, pipeline)) {
    const decision = DECISIONS[String(line["type"])];
    if (decision === undefined || typeof line["slot"] !== "string") continue;
    const from = Date.parse(line["slot"]);
    const to = typeof line["until"] === "string" ? Date.parse(line["until"]) : from;
    if (to < time || from > until) continue;
    const schedule = typeof line["schedule"] === "string" ? line["schedule"] : null;
    // One line can stand for a long stretch; of it, the slot that was asked for is what counts.
    const slot = from === to ? line["slot"] : new Date(Math.max(from, time)).toISOString();
    const key = `${slot}.${schedule ?? ""}`;
    if (decision !== "backfilled") {
      if (decided.has(key)) continue;
      decided.add(key);
    }
    const run = typeof line["run"] === "string" ? line["run"] : null;
    found.push({
      pipeline,
      slot,
      decision,
      because: typeof line["because"] === "string" ? line["because"] : null,
      schedule,
      run,
      status: run === null ? null : statusOf(store, run),
      decidedAt: typeof line["at"] === "string" ? line["at"] : null,
    });
  }
  return found.toReversed();
}

function statusOf(store: RunStore, run: string): string | null {
  try {
    return runStatus(readRun(store, run).state).status;
  } catch {
    return null;
  }
}

function undecided(store: RunStore, pipeline: string, time: number, until: number, now: number): SlotAnswer {
  const state = readPipeline(store, pipeline)?.state;
  const none = { pipeline, slot: null, decision: "none" as const, because: null, schedule: null, run: null, status: null, decidedAt: null };
  if (state === undefined) return { ...none, because: "no daemon has loaded it yet" };
  const due = timetable(pipeline, schedulesInForce(state))
    .dueSlots(time - 1, until + 86_400_000, 1_000)
    .find(({ slot }) => slot >= time && slot <= until);
  if (due === undefined) return none;
  const slot = new Date(due.slot).toISOString();
  if (due.due > now)
    return {
      ...none,
      slot,
      decision: "coming",
      schedule: due.lane ?? null,
      because: state.paused ? "the schedule is paused, so it will be skipped unless it is resumed before" : null,
    };
  const loaded = firstLoad(store, pipeline);
  if (loaded !== undefined && due.due < loaded)
    return { ...none, because: `its schedule counts from ${new Date(loaded).toISOString()}, when it was loaded` };
  if (state.through !== undefined && due.due <= state.through)
    return { ...none, because: "the schedules that are in force now were not in force then, or the ledger of that time is gone" };
  return { ...none, slot, decision: "pending", schedule: due.lane ?? null };
}

function firstLoad(store: RunStore, pipeline: string): number | undefined {
  let first: number | undefined;
  for (const line of linesBackwards(store, pipeline))
    if (line["type"] === "pipeline.loaded" && typeof line["at"] === "string") first = Date.parse(line["at"]);
  return first;
}

/** The answer in words. */
function sentence(answer: SlotAnswer, store: RunStore, runs: string, time: number, now: number): string {
  const { pipeline, slot, decision, run, status, because } = answer;
  const why = because === null ? "" : `: ${because}`;
  const what =
    slot === null
      ? `${pipeline} at ${iso(time)}`
      : `the slot ${slot} of ${pipeline}${answer.schedule === null ? "" : ` (schedule ${answer.schedule})`}`;
  const outcome =
    status === null
      ? run !== null && !store.exists(run)
        ? `${run}, whose ledger retention has removed`
        : (run ?? "")
      : `${run}, which is ${status}`;
  switch (decision) {
    case "fired":
      return `${what} fired at ${answer.decidedAt}${why} and made the run ${outcome}.`;
    case "caught_up":
      return `${what} ran late, at ${answer.decidedAt} (${formatDuration(Math.max(0, Date.parse(answer.decidedAt ?? slot!) - Date.parse(slot!)))} after it)${why}; its run is ${outcome}.`;
    case "backfilled":
      return `${what} was backfilled at ${answer.decidedAt}${why} by the run ${outcome}.`;
    case "skipped":
      return `${what} was skipped${why}.`;
    case "missed":
      return `${what} was missed${why}.`;
    case "coming":
      return `${what} is still to come${why}.`;
    case "pending":
      return `${what} is due and not decided yet: ${daemonRuns(runs) ? "the daemon is about to" : "no daemon runs; it is decided once `orchd start` runs"}.`;
    case "none":
      return `no slot of ${what} was due${why}${because === null ? nearText(store, pipeline, time, now) : ""}.`;
  }
}

function nearText(store: RunStore, pipeline: string, time: number, now: number): string {
  const state = readPipeline(store, pipeline)?.state;
  if (state === undefined || state.schedules.length === 0) return state === undefined ? "" : "; it has no schedule";
  const table = timetable(pipeline, schedulesInForce(state));
  const before = table.newest(Math.min(time, now) - 400 * 86_400_000, time)?.slot;
  const after = table.next(time)?.slot;
  const near = [before === undefined ? "" : `the one before is ${iso(before)}`, after === undefined ? "" : `the one after ${iso(after)}`].filter(
    (part) => part !== "",
  );
  return near.length === 0 ? "" : `; ${listText(near)}`;
}

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
