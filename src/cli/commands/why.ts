/**
 * `orchd why PIPELINE TIME`: why a slot did or did not run, as a sentence, from the pipeline's
 * ledger.
 */
import { runStatus } from "../../core/run-status.ts";
import type { PipelineState } from "../../core/pipeline-state.ts";
import {
  blackoutOf,
  scheduleKey,
  timetable,
  type DueSlot,
  type Schedule,
  type Timetable,
} from "../../core/schedule/schedule.ts";
import { formatDuration } from "../../core/duration.ts";
import { DAY_MS, iso } from "../../core/time.ts";
import { RunStore } from "../../ledger/run-store.ts";
import { daemonRuns } from "../ask.ts";
import type { CommandContext } from "../command.ts";
import { EXIT, type ExitStatus } from "../exit.ts";
import { requirePipeline } from "../known-pipeline.ts";
import { readPipeline, schedulesInForce } from "../../views/pipeline-view.ts";
import { countText, listText } from "../render.ts";
import { linesBackwards } from "../../views/run-history.ts";
import { readRun } from "../../views/run-view.ts";
import { textAt } from "../../views/schedule-history.ts";
import { parseTime } from "../time-text.ts";

/** So far back the slot before a time is looked for. */
const NEAR_MS = 400 * DAY_MS;

/** What became of a slot. */
export interface SlotAnswer {
  readonly pipeline: string;
  /** The slot, ISO 8601; null where none was due then. */
  readonly slot: string | null;
  /** `none`: no slot was due; `pending`: it is due and not decided yet; `coming`: it lies ahead. */
  readonly decision:
    | "fired"
    | "caught_up"
    | "skipped"
    | "missed"
    | "backfilled"
    | "none"
    | "pending"
    | "coming";
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
  const until =
    /T?\d\d:\d\d(Z|[+-]\d\d:?\d\d)?$/i.test(text.trim()) && !/\d\d:\d\d:\d\d/.test(text)
      ? time + 59_000
      : time;
  const answers = decisions(store, pipeline, time, until);
  if (answers.length === 0) answers.push(undecided(store, pipeline, time, until, now));
  if (args.flag("json"))
    terminal.json(
      answers.length === 1
        ? { ...answers[0], sentence: sentence(answers[0]!, store, roots.runs, time, now) }
        : answers.map((answer) => ({
            ...answer,
            sentence: sentence(answer, store, roots.runs, time, now),
          })),
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
    const slot =
      from === to
        ? line["slot"]
        : slotInStretch(store, pipeline, Math.max(from, time), Math.min(to, until), schedule);
    if (slot === undefined) continue;
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

/**
 * The first slot of a stretch that a line stands for; undefined where the schedules of then name
 * none in it.
 */
function slotInStretch(
  store: RunStore,
  pipeline: string,
  from: number,
  to: number,
  schedule: string | null,
): string | undefined {
  const text = textAt(store, pipeline, from);
  // Without the text, the line is all that is known.
  if (!("since" in text) || text.schedules.length === 0) return iso(from);
  const found = slotsWithin(timetable(pipeline, text.schedules), from, to).find(
    ({ lane }) => (lane ?? null) === schedule,
  );
  return found === undefined ? undefined : iso(found.slot);
}

function statusOf(store: RunStore, run: string): string | null {
  try {
    return runStatus(readRun(store, run).state).status;
  } catch {
    return null;
  }
}

/** Of a time that no line speaks of. */
function undecided(
  store: RunStore,
  pipeline: string,
  time: number,
  until: number,
  now: number,
): SlotAnswer {
  const state = readPipeline(store, pipeline)?.state;
  const none = {
    pipeline,
    slot: null,
    decision: "none" as const,
    because: null,
    schedule: null,
    run: null,
    status: null,
    decidedAt: null,
  };
  if (state?.digest === undefined) {
    const refused = state?.errors[0];
    return {
      ...none,
      because:
        refused === undefined
          ? "no daemon has loaded it yet"
          : `no version of its file has been good so far (${refused})`,
    };
  }
  const text = textAt(store, pipeline, time);
  if (!("since" in text)) {
    if (text.older) return { ...none, because: "the ledger of that time is gone" };
    const counts =
      text.firstLoad === undefined
        ? ""
        : `its schedule counts from ${iso(text.firstLoad)}, when it was loaded`;
    return { ...none, because: withNear(counts, nearOf(store, pipeline, text.firstLoad ?? time)) };
  }
  if (text.removedAt !== undefined)
    return { ...none, because: `its file was removed at ${iso(text.removedAt)}` };
  if (text.schedules.length === 0)
    return { ...none, because: "it has no schedule; it runs when it is asked to" };
  const near = nearOf(store, pipeline, time);
  const table = timetable(pipeline, text.schedules);
  const due = slotsWithin(table, time, until)[0];
  if (due === undefined)
    return { ...none, because: withNear(boundsOf(text.schedules, time), near) };
  if (due.slot <= text.since)
    return {
      ...none,
      because: withNear(`its schedule counts from ${iso(text.since)}, when it was loaded`, near),
    };
  const ended =
    text.until === Number.POSITIVE_INFINITY ? endOf(store, pipeline, state, due) : undefined;
  if (ended !== undefined) return { ...none, because: withNear(ended, near) };
  const slot = iso(due.slot);
  const lane = due.lane ?? null;
  if (due.due > now) {
    const blackout = blackoutOf(due.schedule, due.slot);
    const because = state.paused
      ? "the schedule is paused, so it will be skipped unless it is resumed before"
      : blackout === undefined
        ? null
        : `it will be skipped, in the ${blackout}`;
    return { ...none, slot, decision: "coming", schedule: lane, because };
  }
  if (text.until !== Number.POSITIVE_INFINITY && due.due > text.until)
    return {
      ...none,
      because: withNear(
        `the schedule that it belongs to was in force until ${iso(text.until)}, before it was due`,
        near,
      ),
    };
  if (state.through !== undefined && due.due <= state.through)
    return { ...none, because: "the ledger of that time is gone, or damaged" };
  return { ...none, slot, decision: "pending", schedule: lane };
}

/** Slots, not due times, from `time` through `until`: jitter may make one due a day after it. */
function slotsWithin(table: Timetable, time: number, until: number): DueSlot[] {
  return table
    .dueSlots(time - 1, until + DAY_MS, 1_000)
    .filter(({ slot }) => slot >= time && slot <= until);
}

/** Why no schedule names a time, where `startTime` or `endTime` says so. */
function boundsOf(schedules: readonly Schedule[], time: number): string {
  const starts = schedules.map(({ startTime }) => Date.parse(startTime ?? ""));
  if (starts.every((start) => start > time))
    return `its schedule starts at ${iso(Math.min(...starts))}`;
  const ends = schedules.map(({ endTime }) => Date.parse(endTime ?? ""));
  if (ends.every((end) => end < time)) return `its schedule ended at ${iso(Math.max(...ends))}`;
  return "";
}

/**
 * Why there is no slot, where its schedule is one with `stopAfter` that has had all of them by
 * then.
 */
function endOf(
  store: RunStore,
  pipeline: string,
  state: PipelineState,
  { slot, schedule }: Pick<DueSlot, "slot" | "schedule">,
): string | undefined {
  const key = scheduleKey(schedule);
  if (schedule.stopAfter === undefined || (state.ran[key] ?? 0) < schedule.stopAfter)
    return undefined;
  const last = lastFired(store, pipeline, key);
  if (last !== undefined && slot <= last) return undefined;
  return `its schedule stops after ${countText(schedule.stopAfter, "slot")}${last === undefined ? "" : `, the last of them ${iso(last)}`}`;
}

function lastFired(store: RunStore, pipeline: string, key: string): number | undefined {
  for (const line of linesBackwards(store, pipeline)) {
    if (line["type"] !== "slot.fired" && line["type"] !== "slot.caught_up") continue;
    if ((line["schedule"] ?? line["of"] ?? "") === key) return Date.parse(String(line["slot"]));
  }
  return undefined;
}

/** The slots before and after a time, by the text that was or is in force there. */
function nearOf(store: RunStore, pipeline: string, time: number): string {
  const text = textAt(store, pipeline, time);
  const state = readPipeline(store, pipeline)?.state;
  if (!("since" in text) || state === undefined || text.schedules.length === 0) return "";
  const before = timetable(pipeline, text.schedules, text.since).newest(
    Math.max(text.since, time - NEAR_MS),
    time - 1,
  );
  const running =
    text.until === Number.POSITIVE_INFINITY ? schedulesInForce(state) : text.schedules;
  const after = timetable(pipeline, running, text.since).next(time);
  const last =
    before === undefined ||
    endOf(store, pipeline, state, { slot: time, schedule: before.schedule }) === undefined
      ? before?.slot
      : undefined;
  return listText([
    ...(last === undefined ? [] : [`the one before is ${iso(last)}`]),
    ...(after === undefined || after.due > text.until
      ? []
      : [`the one after ${last === undefined ? "is " : ""}${iso(after.slot)}`]),
  ]);
}

/** What `none` says after its time. */
function withNear(reason: string, near: string): string | null {
  return [reason, near].filter((part) => part !== "").join("; ") || null;
}

/** The answer in words. */
function sentence(
  answer: SlotAnswer,
  store: RunStore,
  runs: string,
  time: number,
  now: number,
): string {
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
      return `no slot of ${what} ${time > now ? "will be" : "was"} due${because === null ? "" : `${because.startsWith("the one ") ? ";" : ":"} ${because}`}.`;
  }
}
