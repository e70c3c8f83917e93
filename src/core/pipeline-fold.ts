/** The fold of a pipeline's ledger: its state after each line. */
import { defined } from "./defined.ts";
import type { PipelineEvent, PipelineLine } from "./event.ts";
import { aboutIn } from "./pipeline-about.ts";
import { restoreCheckpoint } from "./pipeline-checkpoint.ts";
import {
  ENDED_KEPT,
  rememberRequest,
  silenceIn,
  slotKey,
  type ActiveRun,
  type Backfill,
  type PipelineState,
} from "./pipeline-state.ts";
import { slotOfKey, unpackSlots } from "./schedule/slot-list.ts";
import { tallyRun, tallySlot } from "./tally.ts";
import { beginning } from "./whole-characters.ts";

/** How much of the reason of a run's end is remembered, in characters. */
const REASON_CHARACTERS = 300;
const DURATIONS_KEPT = 100;

/**
 * The state after one more line. Changes `state` in place and returns it. An unknown event changes
 * nothing but the position.
 */
// oxlint-disable-next-line max-lines-per-function -- the fold: a case an event
export function evolvePipeline(state: PipelineState, line: PipelineLine): PipelineState {
  state.lastSeq = line.seq;
  state.linesSinceCheckpoint += 1;
  state.tally.since ??= line.at;
  const requestId = (line as { requestId?: unknown }).requestId;
  if (typeof requestId === "string") rememberRequest(state, requestId);
  switch (line.type) {
    case "pipeline.loaded":
      state.schedules = line.schedules;
      state.digest = line.digest;
      state.tz = line.tz;
      state.tzdata = line.tzdata;
      if (line.file !== undefined) state.file = line.file;
      state.loadedAt = line.at;
      state.about = aboutIn(line);
      state.errors = [];
      state.removed = false;
      state.through ??= Date.parse(line.at);
      moveWatermark(state, line.through);
      countFrom(state, line.since);
      break;
    case "pipeline.invalid":
      state.errors = line.errors;
      // Nothing else is known of a pipeline that was never valid.
      if (state.file === undefined && line.file !== undefined) state.file = line.file;
      break;
    case "pipeline.removed":
      state.removed = true;
      state.errors = [];
      break;
    case "pipeline.paused":
      state.paused = true;
      if (line.because !== undefined) state.pausedBecause = line.because;
      break;
    case "pipeline.resumed":
      state.paused = false;
      delete state.pausedBecause;
      break;
    case "pipeline.silenced":
      setSilence(state, line);
      break;
    case "slot.fired":
    case "slot.caught_up":
      count(state, line.type === "slot.fired" ? "fired" : "caughtUp");
      tallySlot(state.tally, line.type === "slot.fired" ? "fired" : "caught_up", line.latenessMs);
      decide(state, line, "fired");
      countRun(state, line);
      // A shadow pipeline's slot has no run.
      if (line.shadow !== true) note(state, line.run, line.at);
      break;
    case "slot.skipped":
    case "slot.missed":
      count(state, line.type === "slot.skipped" ? "skipped" : "missed");
      tallySlot(state.tally, line.type === "slot.skipped" ? "skipped" : "missed");
      decide(state, line, line.type === "slot.skipped" ? "skipped" : "missed");
      break;
    case "slot.backfilled":
      count(state, "backfilled");
      tallySlot(state.tally, "backfilled");
      note(state, line.run, line.at);
      break;
    case "clock.stepped":
      stepBack(state, line);
      break;
    case "run.queued":
      note(state, line.run, line.at);
      state.queued.add(line.run);
      break;
    case "run.started":
      state.queued.delete(line.run);
      state.active.set(line.run, {
        at: line.at,
        ...state.active.get(line.run),
        run: line.run,
        startedAt: line.at,
      });
      state.last = { run: line.run, status: "running", startedAt: line.at, finishedAt: null };
      break;
    case "run.finished":
      finishRun(state, line);
      break;
    case "backfill.started":
      state.backfills.set(line.requestId, backfillOf(line));
      break;
    case "backfill.finished":
      state.backfills.delete(line.requestId);
      break;
    case "pipeline.checkpoint":
      restoreCheckpoint(state, line);
      break;
    case "ledger.disturbed":
      state.disturbed = { at: line.at, because: line.because };
      break;
    case "slot.late":
      if (line.run !== undefined) mark(state, line.run, { late: true });
      break;
    case "run.overdue":
      mark(state, line.run, { overdue: true });
      break;
    case "runs.pruned":
      notePruning(state, line.until);
      break;
    case "request.noted":
      break;
  }
  return state;
}

/**
 * Counts runs from zero if `since` changed: then the schedules changed, and the old counts belong
 * to the old text.
 */
function countFrom(state: PipelineState, since: unknown): void {
  const from = typeof since === "string" ? Date.parse(since) : Number.NaN;
  if (Number.isNaN(from) || from === state.since) return;
  state.since = from;
  state.ran = {};
}

function countRun(
  state: PipelineState,
  line: { readonly schedule?: string | undefined; readonly of?: string | undefined },
): void {
  const key = line.schedule ?? line.of ?? "";
  state.ran[key] = (state.ran[key] ?? 0) + 1;
}

function count(state: PipelineState, kind: string): void {
  state.counts[kind] = (state.counts[kind] ?? 0) + 1;
}

function note(state: PipelineState, run: string, at: string): void {
  if (!state.active.has(run)) state.active.set(run, { run, at });
}

function mark(state: PipelineState, run: string, said: Pick<ActiveRun, "late" | "overdue">): void {
  const active = state.active.get(run);
  if (active !== undefined) state.active.set(run, { ...active, ...said });
}

function decide(
  state: PipelineState,
  line: {
    readonly slot: string;
    readonly schedule?: string | undefined;
    readonly through?: string | undefined;
  },
  what: "fired" | "skipped" | "missed",
): void {
  const key = slotKey(line.slot, line.schedule);
  const { until: last } = line as { readonly until?: unknown };
  const until = typeof last === "string" ? Date.parse(last) : Number.NaN;
  if (!Number.isNaN(until)) state.covered = [...state.covered, [Date.parse(line.slot), until]];
  if (line.through === undefined) state.decided.set(key, what);
  if (what === "fired") state.recentlyFired.add(key);
  moveWatermark(state, line.through);
}

function moveWatermark(state: PipelineState, through: string | undefined): void {
  if (through === undefined) return;
  const to = Date.parse(through);
  if (Number.isNaN(to)) return;
  state.through = Math.max(to, state.through ?? to);
  if (state.decided.size === 0 && state.firedAhead.size === 0 && state.covered.length === 0) return;
  const passed = state.through - reachOf(state);
  state.covered = state.covered.filter(([, last]) => last > passed);
  for (const key of state.decided.keys()) if (slotOfKey(key) <= passed) state.decided.delete(key);
  // There may be thousands, in about the order of their slots. One that is out of order stays a
  // little longer.
  for (const key of state.firedAhead) {
    if (slotOfKey(key) > passed) break;
    state.firedAhead.delete(key);
  }
}

/**
 * From which moment on slots that fired may be due again without being remembered, if the clock
 * goes back to `to`. In milliseconds since 1970. Undefined: all are remembered.
 */
export function forgottenAfter(state: PipelineState, to: number): number | undefined {
  const from = to - reachOf(state);
  return state.recentlyFired.holdsAllAfter(from) ? undefined : from;
}

/** How long after its slot a run may be due, by the schedules in force, in milliseconds. */
function reachOf({ schedules }: PipelineState): number {
  return Math.max(
    0,
    ...schedules.map(
      (schedule) =>
        Number((schedule as { jitterSeconds?: unknown } | null)?.jitterSeconds ?? 0) * 1_000,
    ),
  );
}

function stepBack(
  state: PipelineState,
  line: Extract<PipelineLine, { type: "clock.stepped" }>,
): void {
  if (line.through === undefined) return;
  const to = Date.parse(line.through);
  if (state.through !== undefined && to < state.through) {
    // Jitter may have held a slot back beyond `to`. It is due again, although the slot itself has
    // passed.
    const reach = reachOf(state);
    for (const key of state.recentlyFired)
      if (slotOfKey(key) + reach > to) state.firedAhead.add(key);
    // Forgotten slots are older than remembered ones. The set is sorted, since the watermark takes
    // slots from its front.
    const forgotten = unpackSlots(line.fired);
    if (forgotten.length > 0) {
      const all = [...new Set([...forgotten, ...state.firedAhead])].sort(
        (a, b) => slotOfKey(a) - slotOfKey(b),
      );
      state.firedAhead.clear();
      for (const key of all) state.firedAhead.add(key);
    }
  }
  state.through = to;
  // A schedule that was loaded under the wrong clock must not wait until that time comes again.
  if (state.since !== undefined) state.since = Math.min(state.since, to);
  state.decided.clear();
  state.covered = [];
}

function backfillOf(line: Extract<PipelineEvent, { type: "backfill.started" }>): Backfill {
  const { requestId, from, to, which, maxActive, schedule, params } = line;
  return defined({ requestId, from, to, which, maxActive, schedule, params });
}

function finishRun(
  state: PipelineState,
  line: Extract<PipelineLine, { type: "run.finished" }>,
): void {
  const startedAt =
    state.active.get(line.run)?.startedAt ??
    (state.last?.run === line.run ? state.last.startedAt : null);
  state.active.delete(line.run);
  state.queued.delete(line.run);
  keepEnded(state, line.run);
  if (line.status === "completed") {
    state.durations.push(line.workedMs ?? line.durationMs);
    if (state.durations.length > DURATIONS_KEPT) state.durations.shift();
  }
  count(state, line.status);
  tallyRun(state.tally, line);
  const ended = { run: line.run, status: line.status, startedAt, finishedAt: line.at };
  state.last =
    line.status === "completed" || line.because === undefined
      ? ended
      : { ...ended, because: beginning(line.because, REASON_CHARACTERS) };
}

function keepEnded(state: PipelineState, run: string): void {
  state.ended.add(run);
  if (state.ended.size > ENDED_KEPT) state.ended.delete(state.ended.values().next().value!);
}

function setSilence(state: PipelineState, line: Readonly<Record<string, unknown>>): void {
  const silence = silenceIn(line);
  if (silence === undefined) delete state.silence;
  else state.silence = silence;
}

function notePruning(state: PipelineState, until: unknown): void {
  const to = typeof until === "string" ? Date.parse(until) : Number.NaN;
  if (!Number.isNaN(to)) state.prunedUntil = Math.max(to, state.prunedUntil ?? to);
}
