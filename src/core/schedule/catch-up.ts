/**
 * What happens to slots that were due while nothing could fire them (semantics.md 5 and 7).
 *
 * The work is bounded, however long the downtime was. Slots older than the catch-up window share a
 * line: its two ends are found without walking the slots between them. At most {@link MOST_SLOTS}
 * slots within the window get a decision of their own. There are two phases, because only the disk
 * knows which slots have a run already (a crash may come between a run's header and its slot's
 * line): {@link surveyCatchUp} finds the slots, {@link decideCatchUp} decides them.
 *
 * A shared line stands for a stretch of slots, but the watermark counts due times, and jitter can
 * order these differently. So a stretch begins after the watermark: no slot of it was due before.
 * It ends one jitter before the window. It moves the watermark to its own end: only its own slots
 * and those of earlier lines are due by then. Jitter makes some of its slots due later; the line
 * itself tells which (`covered` in pipeline-state.ts). So no crash leaves a slot without a line
 * behind the watermark, and no slot gets two lines.
 */
import { defined } from "../defined.ts";
import { formatDuration } from "../duration.ts";
import { HOUR_MS, iso } from "../time.ts";
import {
  blackoutOf,
  scheduleKey,
  slotId,
  timetable,
  type DueSlot,
  type Timetable,
} from "./schedule.ts";
import type { Schedule } from "./schedule-schema.ts";
import { slotOfKey } from "./slot-list.ts";

/**
 * How many slots within the window get a line each. If the window holds more, the older ones share
 * a line.
 */
export const MOST_SLOTS = 100_000;
/**
 * How many slots of an old stretch are looked at one by one: a crash leaves runs without a line
 * only just after the watermark.
 */
const HEAD_SLOTS = 64;
/** In how many spans the slots are found at most. */
const MOST_SPANS = 1_000;
/** How many slots are looked at in one step of the deciding. */
export const STEP_SLOTS = 500;

/** The slots of a catch-up, before they are decided. */
export interface CatchUpSurvey {
  /** The first slots that are older than any window, up to {@link HEAD_SLOTS}, ordered by slot. */
  readonly head: readonly DueSlot[];
  /** The last slot that is older than any window. Undefined if there is none. */
  readonly last?: DueSlot;
  /** The same slots, due without jitter. */
  readonly still: Timetable;
  /**
   * If there is a `last`, everything due up to here is decided in one write. Milliseconds since
   * 1970.
   */
  readonly edge: number;
  /** All other slots, ordered by due time. */
  readonly slots: readonly DueSlot[];
}

/**
 * The decision about one slot, or about one old stretch.
 *
 * `through`: once this decision and all earlier ones with the same `through` are written,
 * everything due up to then is decided.
 */
export type CatchUpDecision = { readonly slot: DueSlot; readonly through: number } & (
  | { readonly kind: "run"; readonly because: string }
  /** The slot has a run already: only its line is written. */
  | { readonly kind: "adopt" }
  | { readonly kind: "skipped"; readonly because: string }
  /** With `until`: all slots from `slot` through `until`. */
  | { readonly kind: "missed"; readonly until?: DueSlot; readonly because: string }
);

/** What a survey needs. Times are milliseconds since 1970. */
export interface CatchUpSpan {
  /** The watermark: everything due up to here is decided. */
  readonly from: number;
  /** Slots due up to here are caught up. Later ones fire. */
  readonly to: number;
  readonly now: number;
  /** Slots at or before this instant do not count. */
  readonly since?: number | undefined;
  /**
   * Every slot gets its own decision, however old it is: what the ledger said about them was lost.
   */
  readonly each?: boolean;
}

/** What a decision needs besides the slots. */
export interface CatchUpFacts {
  readonly now: number;
  /** What kept the slots from firing, as a clause: `no daemon was up until …`. */
  readonly cause: string;
  /** Why the pipeline is paused. Undefined if it is not. */
  readonly paused?: string | undefined;
  /** Why none of the slots can run. Undefined if they can. */
  readonly impossible?: string | undefined;
  /** Slots ({@link slotId}) that have a line already. They get no other. */
  readonly decided: ReadonlySet<string>;
  /**
   * Stretches of slots that share a line, by their first and last slot. Their slots get no other
   * line.
   */
  readonly covered?: readonly (readonly [first: number, last: number])[] | undefined;
  /** Slots that have a run but no line. */
  readonly taken: ReadonlySet<string>;
  /** How many more runs a schedule may have (`stopAfter`). */
  readonly left?: (schedule: Schedule) => number;
}

/** Finds the slots that a catch-up has to decide. */
export function surveyCatchUp(
  pipeline: string,
  schedules: readonly Schedule[],
  span: CatchUpSpan,
): CatchUpSurvey {
  const steps = surveySteps(pipeline, schedules, span);
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/** As {@link surveyCatchUp}, step by step: each finds the slots of an hour or more. */
export function* surveySteps(
  pipeline: string,
  schedules: readonly Schedule[],
  span: CatchUpSpan,
): Generator<undefined, CatchUpSurvey> {
  const { from, to, since } = span;
  const table = timetable(pipeline, schedules, since);
  const reach = Math.max(0, ...schedules.map(({ jitterSeconds }) => jitterSeconds * 1_000));
  const window =
    span.each === true
      ? Number.POSITIVE_INFINITY
      : Math.max(0, ...schedules.map(({ catchUpWindowMs }) => catchUpWindowMs));
  let edge = Math.min(to, Math.max(from, span.now - window - 1));
  let rest = yield* slotsAfter(table, Math.max(from, edge - reach), to);
  while (rest.length > MOST_SLOTS) {
    edge = to - Math.floor((to - edge) / 2);
    rest = yield* slotsAfter(table, Math.max(from, edge - reach), to);
  }
  // Slots that passed before the watermark and that jitter makes due after it.
  const pending =
    reach === 0
      ? []
      : table.dueSlots(from, Math.min(to, from + reach)).filter(({ slot }) => slot <= from);
  const slots =
    pending.length === 0
      ? rest
      : [...pending, ...rest].sort((a, b) => a.due - b.due || a.slot - b.slot);
  const still = timetable(
    pipeline,
    schedules.map((schedule) => ({ ...schedule, jitterSeconds: 0 })),
    since,
  );
  if (edge - reach <= from) return { head: [], edge, slots, still };
  const head = still.dueSlots(from, edge - reach, HEAD_SLOTS);
  const last = head.length < HEAD_SLOTS ? head.at(-1) : still.newest(from, edge - reach);
  return defined({ head, last, edge, slots, still });
}

/** Slots after an instant that are due by `to`, ordered by due time; few more than are decided. */
function* slotsAfter(table: Timetable, after: number, to: number): Generator<undefined, DueSlot[]> {
  const found: DueSlot[] = [];
  const span = Math.max(HOUR_MS, Math.ceil((to - after) / MOST_SPANS));
  for (let from = after; from < to && found.length <= MOST_SLOTS; from += span) {
    if (from > after) yield undefined;
    for (const slot of table.dueSlots(from, Math.min(from + span, to), MOST_SLOTS + 1))
      if (slot.slot > after) found.push(slot);
  }
  return found;
}

/**
 * Decides all slots of a survey, in the order of their lines. Exactly one decision covers each
 * slot.
 */
export function decideCatchUp(survey: CatchUpSurvey, facts: CatchUpFacts): CatchUpDecision[] {
  const decisions: CatchUpDecision[] = [];
  for (const decision of catchUpSteps(survey, facts))
    if (decision !== undefined) decisions.push(decision);
  return decisions;
}

/**
 * As {@link decideCatchUp}, step by step: a secondly pipeline has 86,400 slots a day. A step
 * without a decision is undefined. There are at most {@link STEP_SLOTS} slots between two steps.
 */
export function* catchUpSteps(
  whole: CatchUpSurvey,
  facts: CatchUpFacts,
): Generator<CatchUpDecision | undefined, void> {
  const { covered = [] } = facts;
  const survey =
    covered.length === 0
      ? whole
      : {
          ...whole,
          slots: whole.slots.filter(
            ({ slot }) => !covered.some(([first, last]) => slot >= first && slot <= last),
          ),
        };
  const verdicts = new Verdicts(facts);
  const isOpen = facts.paused === undefined && facts.impossible === undefined;
  for (const [index, slot] of isOpen ? survey.slots.entries() : []) {
    verdicts.count(slot);
    if (index % STEP_SLOTS === STEP_SLOTS - 1) yield undefined;
  }
  const stretches = decideOld(survey, facts);
  let old = stretches.length > 0;
  for (const [index, slot] of survey.slots.entries()) {
    if (index % STEP_SLOTS === STEP_SLOTS - 1) yield undefined;
    if (old && slot.due > survey.edge) {
      yield* stretches;
      old = false;
    }
    const id = slotId(slot);
    if (facts.decided.has(id)) continue;
    const through = old ? stretches[0]!.through : slot.due;
    if (facts.taken.has(id)) yield { slot, through, kind: "adopt" };
    else if (facts.paused !== undefined)
      yield { slot, through, kind: "skipped", because: facts.paused };
    else if (facts.impossible !== undefined)
      yield { slot, through, kind: "missed", because: facts.impossible };
    else {
      const { kind, because } = verdicts.of(slot);
      yield { slot, through, kind, because };
    }
  }
  if (old) yield* stretches;
}

/**
 * Decides the old stretch. It is split around the slots that already have a line or a run: a crash
 * left them, or they ran while the clock was wrong.
 *
 * Each part moves the watermark to its own end, by which everything due is decided. A crash must
 * not leave a line for many slots behind without its watermark: only a single slot's line says by
 * itself that its slot is decided.
 */
function decideOld(
  { head, last, still, edge }: CatchUpSurvey,
  facts: CatchUpFacts,
): CatchUpDecision[] {
  const decisions: CatchUpDecision[] = [];
  let first = head[0];
  if (first === undefined || last === undefined) return decisions;
  const missed = (slot: DueSlot, until: DueSlot): void => {
    const because = facts.paused ?? facts.impossible ?? tooOld(facts.cause, until.schedule);
    const one = slot.slot === until.slot;
    decisions.push({
      slot,
      through: Math.min(edge, until.slot),
      kind: "missed",
      ...(one && slot.track === until.track ? {} : { until }),
      because,
    });
  };
  for (const mark of [...marksOf(head, facts, first.slot, last.slot), Number.POSITIVE_INFINITY]) {
    if (first !== undefined && first.slot < mark)
      missed(first, mark > last.slot ? last : still.newest(first.slot - 1, mark - 1)!);
    if (mark > last.slot) break;
    for (const slot of still.dueSlots(mark - 1, mark)) {
      const id = slotId(slot);
      if (facts.decided.has(id)) continue;
      if (facts.taken.has(id))
        decisions.push({ slot, through: Math.min(edge, slot.slot), kind: "adopt" });
      else
        decisions.push({
          slot,
          through: Math.min(edge, slot.slot),
          kind: "missed",
          because: facts.paused ?? facts.impossible ?? facts.cause,
        });
    }
    first = still.next(mark);
    if (first !== undefined && first.slot > last.slot) first = undefined;
  }
  // The slots of the last instant go together: each track may have one there, and the watermark
  // passes all of them with the last one.
  const end = decisions.at(-1)?.through;
  return decisions.map((decision) =>
    decision.through === end ? { ...decision, through: edge } : decision,
  );
}

function tooOld(cause: string, { catchUpWindowMs }: Schedule): string {
  return `${cause}; older than the catch-up window of ${formatDuration(catchUpWindowMs)}`;
}

/** The instants in [from, to] at which a slot has a line or a run, in order. */
function marksOf(
  head: readonly DueSlot[],
  facts: CatchUpFacts,
  from: number,
  to: number,
): number[] {
  const marks = new Set<number>();
  for (const slot of head) if (facts.taken.has(slotId(slot))) marks.add(slot.slot);
  for (const id of facts.decided) {
    const slot = slotOfKey(id);
    if (slot >= from && slot <= to) marks.add(slot);
  }
  return [...marks].sort((a, b) => a - b);
}

/** The decision about one slot, without the slot. */
type Verdict = { readonly kind: "run" | "skipped" | "missed"; readonly because: string };

/** The slots of one track that may run, and how they are told. */
interface Track {
  /** How many there are, and how many were decided. */
  count: number;
  decided: number;
  newest: DueSlot;
}

/**
 * Decides the slots of the window that have neither a run nor a line. Whether one runs follows from
 * those after it: so all are counted before the first is decided, both in their order.
 */
class Verdicts {
  readonly #facts: CatchUpFacts;
  readonly #tracks = new Map<string, Track>();
  /** The newest slot of each track that has a run already. */
  readonly #ran = new Map<string, DueSlot>();
  /** How many runs each schedule is given. */
  readonly #used = new Map<string, number>();
  /** Reasons that many slots have in turn: each is made once. */
  readonly #texts = new Map<string, string>();

  constructor(facts: CatchUpFacts) {
    this.#facts = facts;
  }

  count(slot: DueSlot): void {
    const id = slotId(slot);
    const name = trackOf(slot);
    if (this.#facts.taken.has(id)) this.#ran.set(name, slot);
    else if (!this.#facts.decided.has(id) && this.#unable(slot) === undefined) {
      const track = this.#tracks.get(name);
      if (track === undefined) this.#tracks.set(name, { count: 1, decided: 0, newest: slot });
      else {
        track.count += 1;
        track.newest = slot;
      }
    }
  }

  of(slot: DueSlot): Verdict {
    return this.#unable(slot) ?? this.#ofTrack(slot);
  }

  /** Why the slot does not run, whatever the others do. */
  #unable({ schedule, slot, due }: DueSlot): Verdict | undefined {
    const { cause, now } = this.#facts;
    const blackout = blackoutOf(schedule, slot);
    if (blackout !== undefined) return { kind: "skipped", because: blackout };
    if (due < now - schedule.catchUpWindowMs)
      return { kind: "missed", because: tooOld(cause, schedule) };
    if (schedule.catchUp !== "none") return undefined;
    return { kind: "missed", because: `${cause}; catchUp is none` };
  }

  #ofTrack(slot: DueSlot): Verdict {
    const { schedule } = slot;
    const latest = schedule.catchUp === "latest";
    const name = trackOf(slot);
    const track = this.#tracks.get(name)!;
    const ran = this.#ran.get(name);
    const left = track.count - track.decided;
    track.decided += 1;
    if (latest && ran !== undefined && ran.due > slot.due)
      return this.#missed("catchUp is latest, and the newer slot", ran, "ran");
    if (latest && slot !== track.newest)
      return this.#missed("catchUp is latest, which runs the newer slot", track.newest);
    const { cause } = this.#facts;
    const miss = (why: string): Verdict => ({ kind: "missed", because: `${cause}; ${why}` });
    if (!latest && left > schedule.maxCatchUp)
      return miss(`more than maxCatchUp (${schedule.maxCatchUp}) slots were due since`);
    if (schedule.maxCatchUp === 0) return miss("maxCatchUp is 0");
    const key = scheduleKey(schedule);
    const before = this.#used.get(key) ?? 0;
    if (before >= (this.#facts.left?.(schedule) ?? Number.POSITIVE_INFINITY))
      return miss(`the schedule ended with its run number ${schedule.stopAfter ?? 0}`);
    this.#used.set(key, before + 1);
    return { kind: "run", because: `${cause}; catchUp is ${schedule.catchUp}` };
  }

  #missed(why: string, { slot }: DueSlot, end = ""): Verdict {
    const key = `${slot} ${why}`;
    let because = this.#texts.get(key);
    if (because === undefined) {
      because = `${this.#facts.cause}; ${why} ${iso(slot)} ${end}`.trimEnd();
      this.#texts.set(key, because);
    }
    return { kind: "missed", because };
  }
}

/** Slots of which at most the newest runs, or so many of the newest. */
function trackOf({ track, schedule }: DueSlot): string {
  return `${track ?? ""}\n${schedule.catchUp}`;
}
