/**
 * Decides the slots of one pipeline: fired, caught up, skipped or missed, each with its reason. It
 * reserves a run at the moment of the decision (active-runs.ts), and writes nothing:
 * slot-recorder.ts does.
 *
 * It is synchronous: a thousand pipelines may be due in the same second. After a downtime very many
 * slots of one pipeline may be left: those are decided in steps.
 */
import { decideOverlap } from "../core/admission.ts";
import { countText } from "../core/counted.ts";
import {
  catchUpSteps,
  STEP_SLOTS,
  surveySteps,
  type CatchUpDecision,
} from "../core/schedule/catch-up.ts";
import type { PipelineEvent, RunHeader, Trigger } from "../core/event.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import type { PipelineState } from "../core/pipeline-state.ts";
import { runIdForSlot } from "../core/run-id.ts";
import type { Schedule } from "../core/schedule/schedule-schema.ts";
import {
  blackoutOf,
  scheduleKey,
  slotId,
  timetable,
  type DueSlot,
  type Timetable,
} from "../core/schedule/schedule.ts";
import type { OrchdSettings } from "../core/settings.ts";
import { iso } from "../core/time.ts";
import type { RunStore } from "../ledger/run-store.ts";
import type { ActiveRun, ActiveRuns, RunTicket } from "./active-runs.ts";
import { queueTermsOf } from "./queue-terms.ts";
import { runHeader } from "./run-header.ts";
import type { ClockStep } from "./scheduler.ts";
import type { AsidePeriod } from "./set-aside.ts";

/**
 * A slot that is reached later than this is caught up, not fired (semantics.md 7). In milliseconds.
 */
const LATE_MS = 60_000;
/** More slots than these are decided in steps, of as many each: they take some milliseconds. */
export const MOST_AT_ONCE = 250;
/** Whether more runs than these are there is asked of their folders, and not of each path. */
const MOST_LOOKS = 64;

/** The line of one slot. */
export type SlotEvent = Extract<
  PipelineEvent,
  { type: "slot.fired" | "slot.caught_up" | "slot.skipped" | "slot.missed" }
>;

/**
 * The decision on one slot, or on a stretch of slots. `through` moves the watermark: all slots that
 * are due up to it are decided, once this outcome and the earlier ones with the same `through` are
 * written. Undefined: the outcome moves no watermark.
 */
export type Outcome = { readonly through: number | undefined } & (
  | { readonly kind: "line"; readonly event: SlotEvent }
  | {
      readonly kind: "run";
      readonly slot: DueSlot;
      readonly header: RunHeader;
      readonly entry: ActiveRun;
      readonly late: boolean;
      readonly latenessMs: number;
      /**
       * The header's time, ISO 8601: a thousand runs that are due together are decided before the
       * first header is written. Undefined for a run that is caught up: it takes the time of its
       * writing.
       */
      readonly decidedAt: string | undefined;
    }
  /** The slot has a run already. */
  | { readonly kind: "adopt"; readonly slot: DueSlot; readonly run: string }
);

/** What the deciders of all pipelines share. */
export interface DeciderPorts {
  readonly store: RunStore;
  readonly runs: ActiveRuns;
  readonly settings: () => OrchdSettings;
  /**
   * Since when the daemon has been up, in milliseconds since 1970. Slots that were due before it
   * are caught up.
   */
  readonly upSince: () => number;
  /** The last forward jump of the clock. */
  readonly lastJump: () => ClockStep | undefined;
  /** The last time in which nothing could be decided, because the pipeline was set aside. */
  readonly asidePeriod?: ((pipeline: string) => AsidePeriod | undefined) | undefined;
}

/** What a decider sees of its pipeline. */
export interface DeciderView {
  readonly name: string;
  readonly state: PipelineState;
  /** The version in force; undefined if there is none. */
  readonly loaded: LoadedPipeline | undefined;
  /** Why there is no version in force, as a clause. */
  readonly without: string | undefined;
  /** The ledger was damaged: what it said of slots before this daemon's start is lost. */
  readonly damaged: boolean;
}

/** Why a slot is skipped, or why its run waits. */
interface RoomFor {
  readonly skip?: string;
  readonly waits?: string;
}

/** The run may start. */
const FREE: RoomFor = {};

const NONE: readonly Outcome[] = [];

interface Firing {
  readonly kind: "schedule" | "catch_up";
  readonly because: string;
  readonly now: number;
  readonly through: number;
}

/** Decides the slots of one pipeline. */
export class SlotDecider {
  readonly #view: DeciderView;
  readonly #ports: DeciderPorts;
  #schedules: readonly Schedule[];
  #table: Timetable;
  /** How many runs each schedule has had: `stopAfter` counts them. */
  #ran: Record<string, number>;

  constructor(view: DeciderView, ports: DeciderPorts, schedules: readonly Schedule[]) {
    this.#view = view;
    this.#ports = ports;
    this.#schedules = schedules;
    this.#ran = { ...view.state.ran };
    this.#table = this.#makeTable();
  }

  /** The schedules in force. */
  get schedules(): readonly Schedule[] {
    return this.#schedules;
  }

  /** Puts schedules in force, or counts them from another moment. The state has either already. */
  reset(schedules: readonly Schedule[]): void {
    this.#schedules = schedules;
    this.#ran = { ...this.#view.state.ran };
    this.#table = this.#makeTable();
  }

  /** When the next slot is due, in milliseconds since 1970; undefined: never. */
  nextDue(after: number): number | undefined {
    return this.#table.next(after)?.due;
  }

  /** Decides the slots that are due in (from, now]. */
  decide(from: number, now: number): Outcome[] {
    const outcomes: Outcome[] = [];
    const boundary = this.#boundary(now);
    if (this.#isLate(from, boundary)) for (const _ of this.#catchUp(from, boundary, now, outcomes));
    this.#decideLives(from, boundary, now, outcomes);
    return outcomes;
  }

  /** As {@link decide}; undefined where very many are late: {@link decideInSteps} is for them. */
  decideIfFew(from: number, now: number): Outcome[] | undefined {
    const boundary = this.#boundary(now);
    const most = MOST_AT_ONCE;
    if (this.#isLate(from, boundary))
      if (this.#table.dueSlots(from, boundary, most + 1).length > most) return undefined;
    return this.decide(from, now);
  }

  /**
   * As {@link decide}, in steps: each gives outcomes that are to be recorded before the next step
   * is asked for, or none. Outcomes with the same `through` are in one step. Nothing else may
   * decide slots of this pipeline meanwhile.
   */
  *decideInSteps(from: number, now: number): Generator<readonly Outcome[], void> {
    const outcomes: Outcome[] = [];
    const boundary = this.#boundary(now);
    for (const through of this.#catchUp(from, boundary, now, outcomes)) {
      if (through === undefined) yield NONE;
      else if (outcomes.length >= MOST_AT_ONCE && through !== outcomes.at(-1)!.through)
        yield outcomes.splice(0);
    }
    // The line of an early slot may be due with a late one.
    this.#decideLives(from, boundary, now, outcomes);
    yield outcomes;
  }

  /** Slots that are due up to here are caught up; later ones fire. */
  #boundary(now: number): number {
    const { upSince, asidePeriod } = this.#ports;
    const until = asidePeriod?.(this.#view.name)?.until ?? 0;
    return Math.min(now, Math.max(upSince(), now - LATE_MS - 1, until));
  }

  /** Whether any slot is to be caught up. */
  #isLate(from: number, boundary: number): boolean {
    if (boundary <= from) return false;
    const next = this.#table.next(from);
    return next !== undefined && next.due <= boundary;
  }

  #decideLives(from: number, boundary: number, now: number, outcomes: Outcome[]): void {
    for (const slot of this.#table.dueSlots(Math.max(from, boundary), now))
      this.#decideLive(slot, now, outcomes);
  }

  /**
   * Decides slots that have passed and that only jitter still holds back. Their lines move no
   * watermark.
   */
  decideEarly(from: number, now: number): Outcome[] {
    const reach = Math.max(0, ...this.#schedules.map(({ jitterSeconds }) => jitterSeconds * 1_000));
    if (reach === 0) return [];
    const outcomes: Outcome[] = [];
    for (const slot of this.#table.dueSlots(from, now + reach))
      if (slot.slot <= now) this.#decideLive(slot, now, outcomes);
    return outcomes.map((outcome) => Object.assign(outcome, { through: undefined }));
  }

  #makeTable(): Timetable {
    return timetable(this.#view.name, this.#active(), this.#view.state.since);
  }

  /** The schedules that have runs left. */
  #active(): readonly Schedule[] {
    return this.#schedules.filter((schedule) => this.#left(schedule) > 0);
  }

  /** How many runs a schedule has left. */
  #left(schedule: Schedule): number {
    return schedule.stopAfter === undefined
      ? Number.POSITIVE_INFINITY
      : schedule.stopAfter - (this.#ran[scheduleKey(schedule)] ?? 0);
  }

  #count(schedule: Schedule): void {
    const key = scheduleKey(schedule);
    this.#ran[key] = (this.#ran[key] ?? 0) + 1;
    if (this.#left(schedule) <= 0) this.#table = this.#makeTable();
  }

  /**
   * Adds what becomes of slots that are to be caught up. Gives the `through` of each decision
   * before its outcome is added, and undefined now and then between.
   */
  *#catchUp(
    from: number,
    to: number,
    now: number,
    outcomes: Outcome[],
  ): Generator<number | undefined, void> {
    const { name, state, damaged } = this.#view;
    const lost = damaged && from < this.#ports.upSince();
    const schedules = this.#active();
    const survey = yield* surveySteps(name, schedules, {
      from,
      to,
      now,
      since: state.since,
      each: lost,
    });
    const slots = survey.head.length === 0 ? survey.slots : [...survey.head, ...survey.slots];
    if (slots.length === 0) return;
    yield undefined;
    const { store } = this.#ports;
    const exists = slots.length > MOST_LOOKS ? store.looker(name) : store.exists.bind(store);
    const taken = new Set<string>();
    for (const [index, slot] of slots.entries()) {
      if (exists(runIdForSlot(name, slot.slot, slot.track))) taken.add(slotId(slot));
      if (index % STEP_SLOTS === STEP_SLOTS - 1) yield undefined;
    }
    // What is decided here is counted as it runs.
    const left = new Map(schedules.map((one) => [scheduleKey(one), this.#left(one)]));
    const facts = {
      now,
      cause: this.#cause(slots),
      paused: this.#paused(),
      impossible: lost ? "ledger damaged" : this.#without(),
      decided: new Set([...state.decided.keys(), ...state.firedAhead]),
      covered: state.covered,
      taken,
      left: (schedule: Schedule) => left.get(scheduleKey(schedule)) ?? 0,
    };
    for (const decision of catchUpSteps(survey, facts)) {
      yield decision?.through;
      if (decision !== undefined) this.#caughtUp(decision, now, outcomes);
    }
  }

  #caughtUp(decision: CatchUpDecision, now: number, outcomes: Outcome[]): void {
    const { slot, through } = decision;
    switch (decision.kind) {
      case "adopt":
        outcomes.push({
          kind: "adopt",
          through,
          slot,
          run: runIdForSlot(this.#view.name, slot.slot, slot.track),
        });
        break;
      case "skipped":
        outcomes.push({
          kind: "line",
          through,
          event: { type: "slot.skipped", ...slotFields(slot), because: decision.because },
        });
        break;
      case "missed": {
        const { until, because } = decision;
        const fields =
          until === undefined ? slotFields(slot) : { slot: iso(slot.slot), until: iso(until.slot) };
        outcomes.push({
          kind: "line",
          through,
          event: { type: "slot.missed", ...fields, because },
        });
        break;
      }
      case "run":
        this.#fire(slot, { kind: "catch_up", because: decision.because, now, through }, outcomes);
        break;
    }
  }

  /** Why slots were not decided in time: what held up one of them, nothing that was over before. */
  #cause(slots: readonly DueSlot[]): string {
    const upSince = this.#ports.upSince();
    const jump = this.#ports.lastJump();
    const aside = this.#ports.asidePeriod?.(this.#view.name);
    const oneIsDue = (after: number, until: number): boolean =>
      slots.some(({ due }) => due > after && due <= until);
    if (aside !== undefined && oneIsDue(0, aside.until)) return aside.because;
    if (oneIsDue(0, upSince)) return `no daemon was up until ${iso(upSince)}`;
    if (jump !== undefined && oneIsDue(jump.from, jump.to))
      return (
        `the clock jumped from ${iso(jump.from)} to ${iso(jump.to)} ` +
        "(it was set, or the machine slept)"
      );
    return `reached more than ${LATE_MS / 1_000} s late`;
  }

  #paused(): string | undefined {
    const { paused, pausedBecause } = this.#view.state;
    return paused ? `paused${pausedBecause === undefined ? "" : `: ${pausedBecause}`}` : undefined;
  }

  #without(): string | undefined {
    return this.#view.loaded === undefined
      ? (this.#view.without ?? "it has no version in force")
      : undefined;
  }

  #decideLive(slot: DueSlot, now: number, outcomes: Outcome[]): void {
    const id = slotId(slot);
    const { decided, firedAhead } = this.#view.state;
    if (decided.has(id) || firedAhead.has(id) || this.#left(slot.schedule) <= 0) return;
    const through = slot.due;
    const without = this.#without();
    const because =
      this.#paused() ?? (without === undefined ? blackoutOf(slot.schedule, slot.slot) : undefined);
    if (because !== undefined)
      outcomes.push({
        kind: "line",
        through,
        event: { type: "slot.skipped", ...slotFields(slot), because },
      });
    else if (without !== undefined)
      outcomes.push({
        kind: "line",
        through,
        event: { type: "slot.missed", ...slotFields(slot), because: without },
      });
    else
      this.#fire(slot, { kind: "schedule", because: "its slot was due", now, through }, outcomes);
  }

  /** Decides that the slot runs, unless overlap or a limit forbids it. */
  #fire(slot: DueSlot, firing: Firing, outcomes: Outcome[]): void {
    const { name, loaded } = this.#view;
    const { runs } = this.#ports;
    const { through, because } = firing;
    const run = runIdForSlot(name, slot.slot, slot.track);
    if (loaded === undefined || runs.get(run) !== undefined) return;
    const late = firing.kind === "catch_up";
    if (loaded.shadow) {
      this.#count(slot.schedule);
      outcomes.push({ kind: "line", through, event: shadowLine(slot, run, late) });
      return;
    }
    const made = runHeader(loaded, {
      run,
      trigger: triggerOf(firing.kind, slot),
      params: slot.schedule.params,
      because,
    });
    if (!made.ok) {
      const event: SlotEvent = {
        type: "slot.missed",
        ...slotFields(slot),
        because: made.message,
      };
      outcomes.push({ kind: "line", through, event });
      return;
    }
    const { lane, limit, priority, group } = queueTermsOf(name, loaded);
    // No spread: members that are added to a copied object cost V8 forty times as much, and a
    // thousand slots may be decided in one turn of the event loop.
    const ticket: RunTicket = {
      lane,
      limit,
      priority,
      group,
      run,
      pipeline: name,
      order: slot.slot,
      kind: firing.kind,
      gracePeriodMs: loaded.snapshot.gracePeriodMs,
    };
    // Runs that are caught up wait for each other in slot order, whatever overlap says: it would
    // skip all but one of them.
    const room = late ? FREE : this.#makeRoom(slot, loaded, ticket);
    if (room.skip !== undefined) {
      const event: SlotEvent = { type: "slot.skipped", ...slotFields(slot), because: room.skip };
      outcomes.push({ kind: "line", through, event });
      return;
    }
    this.#count(slot.schedule);
    outcomes.push({
      kind: "run",
      through,
      slot,
      header: made.header,
      entry: runs.reserve(ticket, because, room.waits),
      late,
      latenessMs: Math.max(0, firing.now - slot.due),
      decidedAt: late ? undefined : iso(firing.now),
    });
  }

  /** Asks overlap and the limits of the queue: why the slot is skipped, or why its run waits. */
  #makeRoom(slot: DueSlot, loaded: LoadedPipeline, ticket: RunTicket): RoomFor {
    const { runs } = this.#ports;
    const overlap = decideOverlap(
      loaded.overlap,
      loaded.maxActiveRuns,
      runs.busy(this.#view.name),
      loaded.maxQueuedRuns,
    );
    if (overlap.kind === "skip") return { skip: overlap.because };
    if (overlap.kind === "replace") {
      runs.makeRoom(
        overlap.stop,
        overlap.mode,
        `the newer slot ${iso(slot.slot)} is due; overlap is ${loaded.overlap}`,
        ticket.run,
      );
      return { waits: overlap.because };
    }
    const { group } = ticket;
    const most =
      group === undefined ? undefined : this.#ports.settings().concurrency[group]?.maxQueued;
    // A run that need not wait adds nothing to the queue: the runs in it wait for something else,
    // such as their own pipeline's turn.
    if (most !== undefined && runs.mustWait(ticket) && runs.waitingFor(group!) >= most)
      return {
        skip:
          `${countText(most, "run waits", "runs wait")} for the concurrency group "${group!}" ` +
          "already, the most that may",
      };
    return overlap.kind === "queue" ? { waits: overlap.because } : FREE;
  }
}

/** Why a slot has a run. */
function triggerOf(kind: Firing["kind"], { slot, schedule }: DueSlot): Trigger {
  const scheduledFor = iso(slot);
  const { name } = schedule;
  return name === undefined ? { kind, scheduledFor } : { kind, scheduledFor, schedule: name };
}

function shadowLine(slot: DueSlot, run: string, late: boolean): SlotEvent {
  const type = late ? "slot.caught_up" : "slot.fired";
  const because = "shadow: recorded, nothing runs";
  return { type, ...slotFields(slot), run, shadow: true, because };
}

/** The fields of a line that name its slot. */
export function slotFields(slot: DueSlot): { slot: string; schedule?: string; of?: string } {
  const { name } = slot.schedule;
  if (slot.track !== undefined) return { slot: iso(slot.slot), schedule: slot.track };
  return name === undefined ? { slot: iso(slot.slot) } : { slot: iso(slot.slot), of: name };
}
