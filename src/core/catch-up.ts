/**
 * What becomes of slots that were due while nothing could fire them (semantics.md 5 and 7).
 *
 * The work is bounded whatever the downtime: slots older than the catch-up window are one line, found by its two ends and never walked; at most
 * {@link MOST_SLOTS} slots of the window get a decision of their own. It goes in two phases, because only the disk knows which slots have a run already
 * (a crash may have fallen between a run's header and its slot's line): {@link surveyCatchUp} names the slots, {@link decideCatchUp} decides them.
 */
import { formatDuration } from "./duration.ts";
import { blackoutOf, scheduleKey, slotId, type DueSlot, type Timetable } from "./schedule.ts";
import type { Schedule } from "./schedule-schema.ts";

/** Slots within the window that get a line each; if a window holds more, the older ones share a line. */
export const MOST_SLOTS = 100_000;
/** A crash leaves runs without a line only right behind the watermark: so many slots of an old stretch are looked at one by one. */
const HEAD_SLOTS = 64;

/** The slots of a catch-up, before they are decided. */
export interface CatchUpSurvey {
  /** The first slots that are older than any window, up to a few dozen. */
  readonly head: readonly DueSlot[];
  /** The last slot older than any window; undefined where none is. */
  readonly last?: DueSlot;
  /** Every slot within the widest window, by due time. */
  readonly slots: readonly DueSlot[];
}

/** One slot's, or one old stretch's, decision. Lines are written in this order. */
export type CatchUpDecision =
  | { readonly kind: "run"; readonly slot: DueSlot; readonly because: string }
  /** The slot has a run already: its line is written, nothing else. */
  | { readonly kind: "adopt"; readonly slot: DueSlot }
  | { readonly kind: "skipped"; readonly slot: DueSlot; readonly because: string }
  /** With `until`: all slots from `slot` through `until`. */
  | { readonly kind: "missed"; readonly slot: DueSlot; readonly until?: DueSlot; readonly because: string };

/** What a survey needs. Times are milliseconds since 1970. */
export interface CatchUpSpan {
  /** The watermark: what was due up to here is decided. */
  readonly from: number;
  /** Slots due up to here are caught up; later ones fire. */
  readonly to: number;
  readonly now: number;
}

/** What a decision needs besides the slots. */
export interface CatchUpFacts {
  readonly now: number;
  /** What kept the slots from firing, as a clause: `no daemon was up until …`. */
  readonly cause: string;
  /** Why the pipeline is paused; undefined if it is not. */
  readonly paused?: string | undefined;
  /** Why none of them can run; undefined if they can. */
  readonly impossible?: string | undefined;
  /** Slots ({@link slotId}) that have a line already: passed over. */
  readonly decided: ReadonlySet<string>;
  /** Slots that have a run and no line. */
  readonly taken: ReadonlySet<string>;
  /** How many more runs a schedule may have (`stopAfter`). */
  readonly left?: (schedule: Schedule) => number;
}

/** The slots that a catch-up decides. */
export function surveyCatchUp(timetable: Timetable, schedules: readonly Schedule[], span: CatchUpSpan): CatchUpSurvey {
  const window = Math.max(0, ...schedules.map(({ catchUpWindowMs }) => catchUpWindowMs));
  let edge = Math.min(span.to, Math.max(span.from, span.now - window - 1));
  let slots = timetable.dueSlots(edge, span.to, MOST_SLOTS + 1);
  while (slots.length > MOST_SLOTS) {
    edge = span.to - Math.floor((span.to - edge) / 2);
    slots = timetable.dueSlots(edge, span.to, MOST_SLOTS + 1);
  }
  const head = edge > span.from ? timetable.dueSlots(span.from, edge, HEAD_SLOTS) : [];
  const last = head.length < HEAD_SLOTS ? head.at(-1) : timetable.newest(span.from, edge);
  return { head, ...(last === undefined ? {} : { last }), slots };
}

/** The decisions for all slots of a survey, by due time: each slot is covered by exactly one. */
export function decideCatchUp(survey: CatchUpSurvey, facts: CatchUpFacts): CatchUpDecision[] {
  const decisions: CatchUpDecision[] = [];
  decideOld(survey, facts, decisions);
  const runs = chooseRuns(survey.slots, facts);
  for (const slot of survey.slots) {
    const id = slotId(slot);
    if (facts.decided.has(id)) continue;
    if (facts.taken.has(id)) decisions.push({ kind: "adopt", slot });
    else if (facts.paused !== undefined) decisions.push({ kind: "skipped", slot, because: facts.paused });
    else if (facts.impossible !== undefined) decisions.push({ kind: "missed", slot, because: facts.impossible });
    else decisions.push(runs.get(slot) ?? { kind: "missed", slot, because: facts.cause });
  }
  return decisions;
}

function decideOld({ head, last }: CatchUpSurvey, facts: CatchUpFacts, decisions: CatchUpDecision[]): void {
  if (last === undefined) return;
  let first: DueSlot | undefined;
  let newest: DueSlot | undefined;
  const close = (until: DueSlot | undefined): void => {
    if (first === undefined) return;
    const schedule = (until ?? first).schedule;
    const because = facts.paused ?? facts.impossible ?? `${facts.cause}; older than the catch-up window of ${formatDuration(schedule.catchUpWindowMs)}`;
    decisions.push({ kind: "missed", slot: first, ...(until === undefined || until === first ? {} : { until }), because });
    first = undefined;
  };
  for (const slot of head) {
    const id = slotId(slot);
    if (facts.decided.has(id) || facts.taken.has(id)) {
      close(newest);
      if (facts.taken.has(id) && !facts.decided.has(id)) decisions.push({ kind: "adopt", slot });
    } else {
      first ??= slot;
      newest = slot;
    }
  }
  // Whatever lies behind the head is part of its last stretch, or a stretch of its own that begins right after it.
  if (head.at(-1) !== last && first === undefined) first = last;
  close(head.at(-1) === last ? newest : last);
}

/** What each eligible slot of the window is told; slots that are taken, decided or older than their own window are left out. */
function chooseRuns(slots: readonly DueSlot[], facts: CatchUpFacts): Map<DueSlot, CatchUpDecision> {
  const told = new Map<DueSlot, CatchUpDecision>();
  if (facts.paused !== undefined || facts.impossible !== undefined) return told;
  const lanes = new Map<string, DueSlot[]>();
  /** The newest slot of a lane that has a run already. */
  const ran = new Map<string, DueSlot>();
  for (const slot of slots) {
    const { schedule } = slot;
    const id = slotId(slot);
    const lane = `${slot.lane ?? ""}\n${schedule.catchUp}`;
    if (facts.taken.has(id) || facts.decided.has(id)) {
      if (facts.taken.has(id)) ran.set(lane, slot);
      continue;
    }
    const blackout = blackoutOf(schedule, slot.slot);
    if (blackout !== undefined) told.set(slot, { kind: "skipped", slot, because: blackout });
    else if (slot.due < facts.now - schedule.catchUpWindowMs) {
      told.set(slot, { kind: "missed", slot, because: `${facts.cause}; older than the catch-up window of ${formatDuration(schedule.catchUpWindowMs)}` });
    } else if (schedule.catchUp === "none") told.set(slot, { kind: "missed", slot, because: `${facts.cause}; catchUp is none` });
    else {
      const list = lanes.get(lane);
      if (list === undefined) lanes.set(lane, [slot]);
      else list.push(slot);
    }
  }
  const used = new Map<string, number>();
  for (const [lane, list] of lanes) chooseLane(list, ran.get(lane), facts, used, told);
  return told;
}

function chooseLane(
  list: readonly DueSlot[],
  ran: DueSlot | undefined,
  facts: CatchUpFacts,
  used: Map<string, number>,
  told: Map<DueSlot, CatchUpDecision>,
): void {
  const latest = list[0]!.schedule.catchUp === "latest";
  const newest = list.at(-1)!;
  for (const [index, slot] of list.entries()) {
    const { schedule } = slot;
    const miss = (why: string): void => void told.set(slot, { kind: "missed", slot, because: `${facts.cause}; ${why}` });
    if (latest && ran !== undefined && ran.due > slot.due) miss(`catchUp is latest, and the newer slot ${iso(ran.slot)} ran`);
    else if (latest && slot !== newest) miss(`catchUp is latest, which runs the newer slot ${iso(newest.slot)}`);
    else if (!latest && list.length - index > schedule.maxCatchUp) miss(`more than maxCatchUp (${schedule.maxCatchUp}) slots were due since`);
    else if (schedule.maxCatchUp === 0) miss("maxCatchUp is 0");
    else {
      const key = scheduleKey(schedule);
      const before = used.get(key) ?? 0;
      if (before >= (facts.left?.(schedule) ?? Number.POSITIVE_INFINITY)) miss(`the schedule ended with its run number ${schedule.stopAfter ?? 0}`);
      else {
        used.set(key, before + 1);
        told.set(slot, { kind: "run", slot, because: `${facts.cause}; catchUp is ${schedule.catchUp}` });
      }
    }
  }
}

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
