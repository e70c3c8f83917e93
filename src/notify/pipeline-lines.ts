/** What each line of a pipeline's ledger changes in what people are told. */
import { defined } from "../core/defined.ts";
import type { PipelineAlerts } from "../core/notify-state.ts";
import { aboutIn } from "../core/pipeline-about.ts";
import { iso } from "../core/time.ts";
import type { AlertTurn } from "./alert-turn.ts";
import type { NotifyInput, PipelineFacts } from "./notify-input.ts";
import { beginWait, endWait, noteLate } from "./run-waits.ts";

/** The most runs that an alert remembers. */
const MOST_RUNS = 100;

/** A line, and where it stands. */
type Line = Extract<NotifyInput, { readonly type: "line" }>;
/** How many slots a stretch of missed ones has. */
export type SlotsBetween = (pipeline: string, from: number, until: number) => number | undefined;

interface Seen {
  readonly name: string;
  readonly text: (member: string) => string | undefined;
  /** When, and which line. */
  readonly here: { readonly at: string; readonly cause: string };
}

/** Takes in a line of a pipeline's ledger. */
// oxlint-disable-next-line max-lines-per-function -- the fold: a case an event
export function takeLine(turn: AlertTurn, input: Line, slotsBetween: SlotsBetween): void {
  const { pipeline: name, line } = input;
  const text = (member: string): string | undefined => {
    const value = line[member];
    return typeof value === "string" ? value : undefined;
  };
  // A text that is no time, too, would stand in messages as their time.
  const at = iso(timeIn(text("at")) ?? input.now);
  const here = { at, cause: `${input.file}:${input.seq}` };
  const seen: Seen = { name, text, here };
  const because = text("because") ?? "";
  const run = text("run");
  switch (line["type"]) {
    case "pipeline.loaded":
      setAbout(turn.pipeline(name), line);
      turn.recover(name, "invalid", { ...here, because: "its file was accepted" });
      // Its rules may be others now.
      tellAll(turn, name);
      break;
    case "pipeline.invalid": {
      const errors = Array.isArray(line["errors"]) ? line["errors"].map(String) : [];
      turn.cause(name, "invalid", "invalid", { ...here, because: errors.join("; ") });
      break;
    }
    case "pipeline.removed":
      endAll(turn, name);
      break;
    case "pipeline.paused":
      turn.pipeline(name).paused = true;
      break;
    case "pipeline.resumed":
      delete turn.pipeline(name).paused;
      tellAll(turn, name);
      break;
    case "pipeline.silenced":
      setSilence(turn, name, text("until"), defined({ because: text("because"), by: text("by") }));
      break;
    case "pipeline.checkpoint":
      setAbout(turn.pipeline(name), line);
      break;
    case "slot.fired":
    case "slot.caught_up":
      turn.recover(name, "missed", { ...here, ...defined({ run }), because: "a slot fired again" });
      if (run !== undefined && line["shadow"] !== true)
        beginWait(turn, name, run, { ...here, ...defined({ slot: timeIn(text("slot")) }) });
      break;
    case "slot.missed":
      // A pause is no downtime.
      if (turn.state.pipelines.get(name)?.paused === true) break;
      turn.cause(name, "missed", "missed", {
        ...here,
        because,
        count: missedSlots(name, text("slot"), text("until"), slotsBetween),
      });
      break;
    case "slot.late":
      noteLate(turn, name, run);
      turn.cause(name, "late", "late", { ...here, because, run });
      break;
    case "run.queued":
      if (run !== undefined)
        beginWait(turn, name, run, { ...here, queued: Date.parse(at), because });
      break;
    case "run.started":
      if (run !== undefined) endWait(turn, name, run, Date.parse(at), here);
      break;
    case "run.overdue":
      noteOverdue(turn, seen, because);
      break;
    case "run.finished":
      finish(turn, seen, because);
      break;
    case "ledger.disturbed":
      turn.once(name, "damaged", { ...here, because, run });
      break;
    default:
      // No other line is about what people are told.
      break;
  }
  turn.tidy(name);
}

/** Takes in what a pipeline's ledger says at the first start. */
export function takeFacts(turn: AlertTurn, facts: PipelineFacts): void {
  const { pipeline: name, paused, silence, ...about } = facts;
  const entry = turn.pipeline(name);
  setAbout(entry, about);
  if (paused === true) entry.paused = true;
  else delete entry.paused;
  setSilence(turn, name, silence?.until, defined({ because: silence?.because, by: silence?.by }));
  turn.tidy(name);
}

/** Tells what of a pipeline holds to those who are to hear of it. */
export function tellAll(turn: AlertTurn, name: string): void {
  for (const variant of turn.pipeline(name).firing.keys()) turn.tell(name, variant);
}

/**
 * Ends all that holds of a pipeline whose file is removed. A pause and a silence stay, as in its
 * ledger: they hold once the file is back.
 */
function endAll({ state }: AlertTurn, name: string): void {
  const { paused, silence } = state.pipelines.get(name) ?? {};
  const left = defined({ paused, silence });
  state.pipelines.set(name, { ...left, firing: new Map(), waits: new Map() });
}

function setAbout(entry: PipelineAlerts, line: Readonly<Record<string, unknown>>): void {
  const { tags = [], notify } = aboutIn(line);
  delete entry.tags;
  delete entry.notify;
  Object.assign(entry, defined({ tags: tags.length === 0 ? undefined : tags, notify }));
}

function setSilence(
  turn: AlertTurn,
  name: string,
  until: string | undefined,
  why: { readonly because?: string; readonly by?: string },
): void {
  const entry = turn.pipeline(name);
  const end = timeIn(until);
  if (end === undefined) delete entry.silence;
  else entry.silence = { until: end, ...why };
  tellAll(turn, name);
}

function noteOverdue(turn: AlertTurn, { name, text, here }: Seen, because: string): void {
  const run = text("run");
  const firing = turn.cause(name, "overdue", "overdue", { ...here, because, run });
  if (run !== undefined) firing.runs = [...(firing.runs ?? []), run].slice(-MOST_RUNS);
}

function finish(turn: AlertTurn, { name, text, here }: Seen, because: string): void {
  const run = text("run");
  const status = text("status");
  if (run === undefined) return;
  endWait(turn, name, run, undefined, here);
  const overdue = turn.state.pipelines.get(name)?.firing.get("overdue");
  if (overdue?.runs?.includes(run) === true) {
    overdue.runs = overdue.runs.filter((one) => one !== run);
    if (overdue.runs.length === 0) {
      const ended = `${run} is ${status ?? "over"}`;
      turn.recover(name, "overdue", { ...here, run, ...defined({ status }), because: ended });
    }
  }
  if (status === "failed") turn.cause(name, "failed", "failed", { ...here, because, run, status });
  else if (status === "completed" || status === "cached") {
    const count = turn.state.pipelines.get(name)?.firing.get("failed")?.count ?? 1;
    const before = count === 1 ? "one run" : `${count} runs in a row`;
    const what = `${run} is ${status}, after ${before} failed`;
    turn.recover(name, "failed", { ...here, run, status, because: what });
  }
}

function missedSlots(
  name: string,
  slot: string | undefined,
  until: string | undefined,
  slotsBetween: SlotsBetween,
): number {
  const from = timeIn(slot);
  const to = timeIn(until);
  if (from === undefined || to === undefined || to <= from) return 1;
  return Math.max(1, Math.trunc(slotsBetween(name, from, to) ?? 2));
}

function timeIn(text: string | undefined): number | undefined {
  const time = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(time) ? undefined : time;
}
