/**
 * One pipeline under the engine: its ledger, the version in force, and the decision of each of its slots. (The engine owns many runs, a run-loop
 * drives one, an orchestrator says where steps run; a desk owns a pipeline's slots.)
 *
 * `cursor` is the watermark in memory: what was due up to it is decided, and its lines are written or on their way. The ledger's `through` follows it.
 * Everything that changes the pipeline takes its turn (`#turn`), so that a load, a pause and the slots before it are decided in that order; a
 * decision on slots begins at once if nobody has the turn, and is synchronous until headers are written, because a thousand pipelines may be due
 * in the same second.
 *
 * Invariants: lines go into the ledger in the order of due times, those of equal due time in one write, of which the last carries `through`; a run's
 * header is durable before its slot's line is written (semantics.md 3 and 4); a slot that fired never fires again.
 */
import type { Clock } from "../clock.ts";
import { activeLimit, decideOverlap } from "../core/admission.ts";
import { decideCatchUp, surveyCatchUp, type CatchUpDecision } from "../core/catch-up.ts";
import type { PipelineEvent } from "../core/event.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import type { PipelineState } from "../core/pipeline-state.ts";
import { runIdForSlot } from "../core/run-id.ts";
import { blackoutOf, scheduleKey, slotId, timetable, type DueSlot, type Timetable } from "../core/schedule.ts";
import type { Schedule } from "../core/schedule-schema.ts";
import type { OrchdSettings } from "../core/settings.ts";
import type { Json } from "../core/snapshot.ts";
import { LedgerExists } from "../ledger/ledger-error.ts";
import type { PipelineLedger } from "../ledger/pipeline-ledger.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { adoptRun } from "./adopted-run.ts";
import type { ActiveRun, ActiveRuns, RunPlace } from "./active-runs.ts";
import type { Burst } from "./burst.ts";
import type { Log, RunEnd, RunHandle, RunHeader, RunMaker } from "./ports.ts";
import { runHeader } from "./run-header.ts";
import type { ClockStep } from "./scheduler.ts";

/** A slot that is reached later than this is caught up rather than fired (semantics.md 7). */
export const LATE_MS = 60_000;
/** Slots whose lines are one write at most. */
const SLOTS_A_WRITE = 250;

/** What a desk shares with all others. */
export interface DeskPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly store: RunStore;
  readonly runs: ActiveRuns;
  readonly maker: RunMaker;
  readonly settings: () => OrchdSettings;
  /** Since when the daemon has been up: slots due before were missed by no fault of their own. Milliseconds since 1970. */
  readonly upSince: () => number;
  /** The last forward jump of the clock. */
  readonly lastJump: () => ClockStep | undefined;
  /** When this pipeline has something due next. */
  readonly onNext: (pipeline: string, due: number | undefined) => void;
  /** The runs that are being made because they were due in this very moment; undefined outside of one. */
  readonly burst: () => Burst | undefined;
  /** Sees each line that is about to be written. */
  readonly onLine?: ((pipeline: string, event: PipelineEvent) => void) | undefined;
  /** The time-zone data's version, for the record. */
  readonly tzdata: string;
}

/** What was decided about one slot, or one stretch of them. All that is due up to `through` is decided once this and all before it with the same are; undefined: it moves no watermark. */
type Outcome =
  | { readonly kind: "line"; readonly through: number | undefined; readonly event: SlotEvent }
  | { readonly kind: "run"; readonly through: number | undefined; readonly slot: DueSlot; readonly header: RunHeader; readonly entry: ActiveRun; readonly late: boolean; readonly latenessMs: number }
  | { readonly kind: "adopt"; readonly through: number | undefined; readonly slot: DueSlot; readonly run: string };

type SlotEvent = Extract<PipelineEvent, { type: "slot.fired" | "slot.caught_up" | "slot.skipped" | "slot.missed" }>;

/** One pipeline: see the head of this file. */
export class PipelineDesk {
  readonly name: string;
  readonly #ledger: PipelineLedger;
  readonly #ports: DeskPorts;
  #loaded: LoadedPipeline | undefined;
  /** Why there is no version in force; undefined while there is one. */
  #without: string | undefined = "its file has not been read yet";
  #schedules: readonly Schedule[];
  #table: Timetable;
  #ran: Record<string, number>;
  #cursor: number | undefined;
  #busy = false;
  readonly #queue: (() => void)[] = [];
  #decideQueued = false;
  #told: ClockStep | undefined;

  constructor(ledger: PipelineLedger, ports: DeskPorts) {
    this.name = ledger.pipeline;
    this.#ledger = ledger;
    this.#ports = ports;
    const { state } = ledger;
    this.#cursor = state.through;
    this.#ran = { ...state.ran };
    this.#schedules = state.removed ? [] : (state.schedules as unknown as readonly Schedule[]);
    this.#table = this.#makeTable();
  }

  /** The pipeline as its durable lines say. */
  get state(): PipelineState {
    return this.#ledger.state;
  }

  /** The version in force; undefined if there is none. */
  get loaded(): LoadedPipeline | undefined {
    return this.#loaded;
  }

  /** Why there is no version in force, as a clause. */
  get without(): string | undefined {
    return this.#without;
  }

  /** The schedules in force. */
  get schedules(): readonly Schedule[] {
    return this.#schedules;
  }

  /** All slots of the schedules in force, also before the watermark. */
  fullTable(): Timetable {
    return timetable(this.name, this.#schedules);
  }

  /** The pipeline's ledger, for those that write lines of their own into it. */
  append(events: readonly PipelineEvent[]): Promise<unknown> {
    for (const event of events) this.#ports.onLine?.(this.name, event);
    return this.#ledger.append(events);
  }

  /** Decides all that is due. The decision is made before this returns, unless the pipeline is being changed; then right after that. */
  decide(): void {
    if (this.#decideQueued) return;
    this.#decideQueued = this.#busy;
    this.#turn(async () => {
      this.#decideQueued = false;
      await this.#decideDue(this.#ports.clock.now());
    }).catch((error: unknown) => this.#ports.log.error({ pipeline: this.name, err: error }, "slots could not be decided"));
  }

  /** Waits until all that was begun is durable. */
  settled(): Promise<void> {
    return this.#turn(() => Promise.resolve());
  }

  /** Puts a version in force. Slots of the text before it are decided first. */
  load(loaded: LoadedPipeline): Promise<void> {
    return this.#turn(async () => {
      const { state } = this;
      const json = JSON.parse(JSON.stringify(loaded.schedules)) as Json[];
      const rescheduled = state.digest === undefined || state.removed || JSON.stringify(state.schedules) !== JSON.stringify(json);
      const same = !rescheduled && state.digest === loaded.digest && state.errors.length === 0;
      // On a restart nothing else is known of the old version: what is left of its slots runs what is there now.
      this.#loaded ??= loaded;
      this.#without = undefined;
      if (same) {
        this.#loaded = loaded;
        return this.#next();
      }
      const now = this.#ports.clock.now();
      if (rescheduled) await this.#decideOld(now);
      this.#loaded = loaded;
      const since = rescheduled ? now : state.since;
      await this.append([
        {
          type: "pipeline.loaded",
          digest: loaded.digest,
          schedules: json,
          tz: this.#ports.settings().timezone,
          tzdata: this.#ports.tzdata,
          file: loaded.file,
          ...(since === undefined ? {} : { since: iso(since) }),
          ...(rescheduled ? { through: iso(Math.max(now, this.#cursor ?? now)) } : {}),
        },
      ]);
      if (rescheduled) {
        this.#cursor = Math.max(now, this.#cursor ?? now);
        this.#ran = {};
        this.#schedules = loaded.schedules;
      }
      this.#table = this.#makeTable();
      this.#next();
    });
  }

  /** Puts the version back that was in force when the last daemon ended; its file is not good now. */
  restore(loaded: LoadedPipeline): Promise<void> {
    return this.#turn(async () => {
      if (this.#loaded !== undefined || this.state.digest !== loaded.digest) return;
      this.#loaded = loaded;
      this.#without = undefined;
      this.#next();
    });
  }

  /** The file was refused: what was in force stays so. */
  invalid(errors: readonly string[], file: string): Promise<void> {
    return this.#turn(async () => {
      if (this.#loaded === undefined) this.#without = `its file is invalid: ${errors[0] ?? "no reason given"}`;
      if (JSON.stringify(this.state.errors) !== JSON.stringify(errors)) await this.append([{ type: "pipeline.invalid", errors: [...errors], file }]);
      this.#next();
    });
  }

  /** The file is gone: nothing fires any more. */
  remove(file: string | undefined): Promise<void> {
    return this.#turn(async () => {
      this.#without = "its file was removed";
      await this.#decideOld(this.#ports.clock.now());
      this.#loaded = undefined;
      this.#schedules = [];
      this.#table = this.#makeTable();
      if (!this.state.removed && (this.state.digest !== undefined || this.state.errors.length > 0)) {
        await this.append([{ type: "pipeline.removed", ...(file === undefined ? {} : { file }) }]);
      }
      this.#next();
    });
  }

  /** Pauses or resumes the schedule; what was due until now is decided first. @returns whether anything changed */
  setPaused(paused: boolean, order: { readonly requestId: string; readonly by: string }): Promise<boolean> {
    return this.#turn(async () => {
      await this.#decideDue(this.#ports.clock.now());
      const { requestId, by } = order;
      if (this.state.paused === paused) {
        await this.append([{ type: "request.noted", requestId, because: paused ? "the pipeline is paused already" : "the pipeline is not paused" }]);
        return false;
      }
      await this.append([{ type: paused ? "pipeline.paused" : "pipeline.resumed", requestId, by, because: `asked for by ${by}` }]);
      return true;
    });
  }

  /** The wall clock went back: what lies ahead once more is decided anew, save what fired (semantics.md 8). */
  stepBack(step: ClockStep): Promise<void> {
    return this.#turn(async () => {
      if (this.#cursor !== undefined && this.#cursor > step.to) {
        await this.append([{ type: "clock.stepped", from: iso(step.from), to: iso(step.to), through: iso(step.to), because: "the clock went back: what fired stays so, the rest is decided anew" }]);
        this.#cursor = step.to;
        this.#table = this.#makeTable();
      }
      this.#next();
    });
  }

  /**
   * Makes a run that no slot asks for.
   *
   * @param line the pipeline's line for it, besides its start
   * @throws an Error with a sentence if its params cannot be taken, or LedgerExists
   */
  async makeRun(header: RunHeader, place: Omit<RunPlace, "pipeline" | "gracePeriodMs">, lines: readonly PipelineEvent[] = []): Promise<void> {
    const entry = this.#ports.runs.reserve({ ...place, pipeline: this.name, gracePeriodMs: header.snapshot.gracePeriodMs }, header.because ?? "asked for");
    const handle = await this.#create(entry, header);
    const written = this.append([...lines, this.#beginning(entry, header)]);
    this.#ports.runs.record(entry);
    this.#ports.runs.attach(entry, handle);
    await written;
  }

  /** The lane, limit, group and priority of this pipeline's runs. */
  placeOf(loaded: LoadedPipeline | undefined): Pick<RunPlace, "lane" | "limit" | "group" | "priority"> {
    return {
      lane: this.name,
      limit: loaded === undefined ? Number.POSITIVE_INFINITY : activeLimit(loaded.overlap, loaded.maxActiveRuns),
      priority: loaded?.concurrency?.priority ?? loaded?.priority ?? 0,
      group: loaded?.concurrency?.group,
    };
  }

  /** A run that waited starts: its line. */
  recordStart(run: ActiveRun): Promise<unknown> {
    return this.append([{ type: "run.started", run: run.place.run, trigger: run.place.kind }]);
  }

  /** A run ended: its line. */
  recordEnd(run: string, end: RunEnd): Promise<unknown> {
    return this.append([{ type: "run.finished", run, status: end.status, durationMs: end.durationMs, because: end.because }]);
  }

  /** Closes the ledger; nothing may be asked of the desk after that. */
  async close(): Promise<void> {
    await this.settled();
    await this.#ledger.close();
  }

  async #turn<T>(act: () => Promise<T>): Promise<T> {
    if (this.#busy) await new Promise<void>((resolve) => this.#queue.push(resolve));
    this.#busy = true;
    try {
      return await act();
    } finally {
      const next = this.#queue.shift();
      if (next === undefined) this.#busy = false;
      else next();
    }
  }

  #makeTable(): Timetable {
    return timetable(this.name, this.#active(), this.state.since);
  }

  /** The schedules that have not ended with their last run. */
  #active(): readonly Schedule[] {
    return this.#schedules.filter((schedule) => this.#left(schedule) > 0);
  }

  /** How many runs the schedule has left (`stopAfter`). */
  #left(schedule: Schedule): number {
    return schedule.stopAfter === undefined ? Number.POSITIVE_INFINITY : schedule.stopAfter - (this.#ran[scheduleKey(schedule)] ?? 0);
  }

  #next(): void {
    this.#ports.onNext(this.name, this.#cursor === undefined ? undefined : this.#table.next(this.#cursor)?.due);
  }

  async #decideDue(now: number): Promise<void> {
    const from = this.#cursor;
    if (from === undefined || now <= from) return this.#next();
    const outcomes = this.#outcomes(from, now);
    this.#cursor = now;
    this.#next();
    await this.#record(outcomes, now);
  }

  /** Decides what the schedules that are about to go have left: all that is due, and slots that only jitter still holds back. */
  async #decideOld(now: number): Promise<void> {
    await this.#decideDue(now);
    const reach = Math.max(0, ...this.#schedules.map(({ jitterSeconds }) => jitterSeconds * 1_000));
    if (reach === 0 || this.#cursor === undefined) return;
    const outcomes: Outcome[] = [];
    for (const slot of this.#table.dueSlots(this.#cursor, now + reach)) if (slot.slot <= now) this.#decideLive(slot, now, outcomes);
    // Their due time is still to come, so their lines move no watermark: should a crash come now, they are found by their own lines.
    await this.#record(outcomes.map((outcome) => ({ ...outcome, through: undefined })), now);
  }

  #outcomes(from: number, now: number): Outcome[] {
    const outcomes: Outcome[] = [];
    const boundary = Math.min(now, Math.max(this.#ports.upSince(), now - LATE_MS - 1));
    if (boundary > from) this.#catchUp(from, boundary, now, outcomes);
    for (const slot of this.#table.dueSlots(Math.max(from, boundary), now)) this.#decideLive(slot, now, outcomes);
    return outcomes;
  }

  #catchUp(from: number, to: number, now: number, outcomes: Outcome[]): void {
    const survey = surveyCatchUp(this.name, this.#active(), { from, to, now, since: this.state.since });
    const slots = [...survey.head, ...survey.slots];
    if (slots.length === 0) return;
    const { decided, firedAhead, paused, pausedBecause } = this.state;
    const taken = new Set(slots.filter((slot) => this.#ports.store.exists(runIdForSlot(this.name, slot.slot, slot.lane))).map(slotId));
    const decisions = decideCatchUp(survey, {
      now,
      cause: this.#cause(from, now),
      paused: paused ? `paused${pausedBecause === undefined ? "" : `: ${pausedBecause}`}` : undefined,
      impossible: this.#loaded === undefined ? (this.#without ?? "it has no version in force") : undefined,
      decided: firedAhead.size === 0 ? new Set(decided.keys()) : new Set([...decided.keys(), ...firedAhead]),
      taken,
      left: (schedule) => this.#left(schedule),
    });
    for (const decision of decisions) this.#caughtUp(decision, now, outcomes);
  }

  #caughtUp(decision: CatchUpDecision, now: number, outcomes: Outcome[]): void {
    const { slot, through } = decision;
    switch (decision.kind) {
      case "adopt":
        outcomes.push({ kind: "adopt", through, slot, run: runIdForSlot(this.name, slot.slot, slot.lane) });
        break;
      case "skipped":
        outcomes.push({ kind: "line", through, event: { type: "slot.skipped", ...slotFields(slot), because: decision.because } });
        break;
      case "missed": {
        const { until, because } = decision;
        const fields = until === undefined ? slotFields(slot) : { slot: iso(slot.slot), until: iso(until.slot) };
        outcomes.push({ kind: "line", through, event: { type: "slot.missed", ...fields, because } });
        break;
      }
      case "run":
        this.#fire(slot, { kind: "catch_up", because: decision.because, now, through }, outcomes);
        break;
    }
  }

  #cause(from: number, now: number): string {
    const upSince = this.#ports.upSince();
    const jump = this.#ports.lastJump();
    if (from < upSince) return `no daemon was up until ${iso(upSince)}`;
    if (jump !== undefined && jump.to > from && jump.from < now) return `the clock jumped from ${iso(jump.from)} to ${iso(jump.to)} (it was set, or the machine slept)`;
    return `reached more than ${LATE_MS / 1_000} s late`;
  }

  #decideLive(slot: DueSlot, now: number, outcomes: Outcome[]): void {
    const id = slotId(slot);
    const { state } = this;
    if (state.decided.has(id) || state.firedAhead.has(id) || this.#left(slot.schedule) <= 0) return;
    const skip = (because: string): void => void outcomes.push({ kind: "line", through: slot.due, event: { type: "slot.skipped", ...slotFields(slot), because } });
    if (state.paused) return skip(`paused${state.pausedBecause === undefined ? "" : `: ${state.pausedBecause}`}`);
    if (this.#loaded === undefined) {
      outcomes.push({ kind: "line", through: slot.due, event: { type: "slot.missed", ...slotFields(slot), because: this.#without ?? "it has no version in force" } });
      return;
    }
    const blackout = blackoutOf(slot.schedule, slot.slot);
    if (blackout !== undefined) return skip(blackout);
    this.#fire(slot, { kind: "schedule", because: "its slot was due", now, through: slot.due }, outcomes);
  }

  /** The slot's run, unless overlap or a limit is against it. */
  #fire(slot: DueSlot, how: { readonly kind: "schedule" | "catch_up"; readonly because: string; readonly now: number; readonly through: number }, outcomes: Outcome[]): void {
    const { runs } = this.#ports;
    const loaded = this.#loaded!;
    const run = runIdForSlot(this.name, slot.slot, slot.lane);
    const late = how.kind === "catch_up";
    const latenessMs = Math.max(0, how.now - slot.due);
    const line = (event: SlotEvent): void => void outcomes.push({ kind: "line", through: how.through, event });
    if (runs.get(run) !== undefined) return;
    if (loaded.shadow) {
      this.#count(slot.schedule);
      return line({ type: late ? "slot.caught_up" : "slot.fired", ...slotFields(slot), run, shadow: true, because: "shadow: recorded, nothing runs" });
    }
    const bound = runHeader(loaded, {
      run,
      trigger: { kind: how.kind, scheduledFor: iso(slot.slot), ...(slot.schedule.name === undefined ? {} : { schedule: slot.schedule.name }) },
      params: slot.schedule.params,
      because: how.because,
    });
    if (!bound.ok) return line({ type: "slot.missed", ...slotFields(slot), because: bound.message });
    const place = { ...this.placeOf(loaded), run, pipeline: this.name, order: slot.slot, kind: how.kind, gracePeriodMs: loaded.snapshot.gracePeriodMs };
    let waits: string | undefined;
    if (!late) {
      const overlap = decideOverlap(loaded.overlap, loaded.maxActiveRuns, runs.busy(this.name), loaded.maxQueuedRuns);
      if (overlap.kind === "skip") return line({ type: "slot.skipped", ...slotFields(slot), because: overlap.because });
      if (overlap.kind !== "start") waits = overlap.because;
      const full = this.#groupIsFull(place.group);
      if (overlap.kind !== "replace" && full !== undefined) return line({ type: "slot.skipped", ...slotFields(slot), because: full });
      if (overlap.kind === "replace") runs.makeRoom(overlap.stop, overlap.mode, `the newer slot ${iso(slot.slot)} is due; overlap is ${loaded.overlap}`);
    }
    this.#count(slot.schedule);
    outcomes.push({ kind: "run", through: how.through, slot, header: bound.header, entry: runs.reserve(place, how.because, waits), late, latenessMs });
  }

  #groupIsFull(group: string | undefined): string | undefined {
    const maxQueued = group === undefined ? undefined : this.#ports.settings().concurrency[group]?.maxQueued;
    if (maxQueued === undefined) return undefined;
    const waiting = this.#ports.runs.waitingFor(group!);
    return waiting >= maxQueued ? `${waiting} runs wait for the concurrency group "${group!}" already, the most that may` : undefined;
  }

  #count(schedule: Schedule): void {
    const key = scheduleKey(schedule);
    this.#ran[key] = (this.#ran[key] ?? 0) + 1;
    if (this.#left(schedule) <= 0) this.#table = this.#makeTable();
  }

  /** Makes the runs that were decided on and writes every line. */
  async #record(outcomes: readonly Outcome[], now: number): Promise<void> {
    for (let start = 0; start < outcomes.length; ) {
      let end = Math.min(outcomes.length, start + SLOTS_A_WRITE);
      // Lines of equal due time are one write.
      while (end < outcomes.length && through(outcomes[end]!, now) === through(outcomes[end - 1]!, now)) end += 1;
      const chunk = outcomes.slice(start, end);
      start = end;
      const made = await Promise.all(chunk.map((outcome) => this.#make(outcome)));
      const lines: PipelineEvent[] = [];
      made.forEach(({ event }, index) => {
        if (event === undefined) return;
        const at = through(chunk[index]!, now);
        const last = made.findIndex((other, later) => later > index && other.event !== undefined && through(chunk[later]!, now) === at) === -1;
        lines.push(last && at !== undefined ? { ...event, through: iso(at) } : event);
      });
      for (const { more } of made) lines.push(...more);
      const jump = this.#jumpLine(chunk);
      const written = this.append(jump === undefined ? lines : [jump, ...lines]);
      for (const outcome of chunk) if (outcome.kind === "run") this.#ports.runs.record(outcome.entry);
      await written;
    }
  }

  /** The line that says why slots are caught up, if the clock is to blame; once a jump. */
  #jumpLine(chunk: readonly Outcome[]): PipelineEvent | undefined {
    const jump = this.#ports.lastJump();
    if (jump === undefined || this.#told === jump || !chunk.some((outcome) => outcome.through !== undefined && outcome.through > jump.from && outcome.through <= jump.to)) return undefined;
    this.#told = jump;
    return { type: "clock.stepped", from: iso(jump.from), to: iso(jump.to), because: "the clock jumped ahead: it was set, or the machine slept" };
  }

  /** One outcome's slot line, and what else is to be written with it. */
  async #make(outcome: Outcome): Promise<{ readonly event?: SlotEvent; readonly more: readonly PipelineEvent[] }> {
    switch (outcome.kind) {
      case "line":
        return { event: outcome.event, more: [] };
      case "adopt":
        return this.#adopt(outcome.slot, outcome.run);
      case "run": {
        const { entry, header, slot, late, latenessMs } = outcome;
        try {
          const handle = await this.#create(entry, header);
          this.#ports.runs.attach(entry, handle);
        } catch (error) {
          if (error instanceof LedgerExists) return this.#adopt(slot, header.run);
          const because = `its run could not be made: ${error instanceof Error ? error.message : String(error)}`;
          this.#ports.log.error({ pipeline: this.name, run: header.run, err: error }, "a run could not be made");
          return { event: { type: "slot.missed", ...slotFields(slot), because }, more: [] };
        }
        const event = { type: late ? ("slot.caught_up" as const) : ("slot.fired" as const), ...slotFields(slot), run: header.run, because: header.because ?? "its slot was due", latenessMs };
        return { event, more: [this.#beginning(entry, header)] };
      }
    }
  }

  async #create(entry: ActiveRun, header: RunHeader): ReturnType<RunMaker["create"]> {
    const burst = this.#ports.burst();
    burst?.join();
    let handle: RunHandle;
    try {
      handle = await this.#ports.maker.create(header);
    } catch (error) {
      this.#ports.runs.drop(entry);
      throw error;
    } finally {
      burst?.leave();
    }
    await burst?.over;
    return handle;
  }

  #beginning(entry: ActiveRun, header: RunHeader): PipelineEvent {
    const { run, trigger } = header;
    const { requestId } = trigger;
    if (!entry.going) return { type: "run.queued", run, because: entry.because, ...(requestId === undefined ? {} : { requestId }) };
    return { type: "run.started", run, trigger: trigger.kind, ...(requestId === undefined ? {} : { requestId }) };
  }

  /** The slot has a run that has no line here, or the clock went back over it. */
  async #adopt(slot: DueSlot, run: string): Promise<{ readonly event?: SlotEvent; readonly more: readonly PipelineEvent[] }> {
    const adopted = await adoptRun(run, this.name, this.#ports, this.placeOf(this.#loaded));
    if (adopted.recorded) return { more: [] };
    const late = adopted.kind === "catch_up";
    const event = { type: late ? ("slot.caught_up" as const) : ("slot.fired" as const), ...slotFields(slot), run, because: "its run was there already: a crash came before this line" };
    return { event, more: adopted.lines };
  }
}

/** Up to when all is decided once this outcome is; never ahead of the clock. */
function through(outcome: Outcome, now: number): number | undefined {
  return outcome.through === undefined ? undefined : Math.min(outcome.through, now);
}

function slotFields(slot: DueSlot): { slot: string; schedule?: string; of?: string } {
  const { name } = slot.schedule;
  return { slot: iso(slot.slot), ...(slot.lane === undefined ? (name === undefined ? {} : { of: name }) : { schedule: slot.lane }) };
}

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}


