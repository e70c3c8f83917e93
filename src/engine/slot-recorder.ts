/**
 * Carries out the decisions on a pipeline's slots: makes the runs, and writes the lines.
 *
 * A run's header is durable before its slot's line is given to the ledger (semantics.md 4). Lines
 * go in the order of the decisions. Lines with the same `through` are one write, and the last of
 * them carries it (semantics.md 3): so no crash leaves a watermark ahead of a slot without a line.
 */
import type { Clock } from "../clock.ts";
import type { PipelineEvent, RunHeader } from "../core/event.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import type { DueSlot } from "../core/schedule/schedule.ts";
import { messageOf } from "../core/thrown.ts";
import { iso } from "../core/time.ts";
import { lacksDescriptor } from "../disk/disk-error.ts";
import { isPathFault } from "../disk/path-fault.ts";
import { untilRoom } from "../disk/until-room.ts";
import { LedgerBlocked, LedgerExists } from "../ledger/ledger-error.ts";
import { adoptRun, type Adopted, type AdoptPorts } from "./adopted-run.ts";
import type { ActiveRun } from "./active-runs.ts";
import type { Burst } from "./burst.ts";
import type { RunHandle } from "./ports.ts";
import type { ClockStep } from "./scheduler.ts";
import { queueTermsOf } from "./queue-terms.ts";
import { slotFields, type Outcome, type SlotEvent } from "./slot-decider.ts";

/** The most slots whose lines are one write; slots with the same `through` may be more. */
const SLOTS_A_WRITE = 250;
/** What the log says where no file can be opened to see whether a slot has its line. */
const UNSEEN = "a slot's run is there, and its ledger cannot be read now; it is tried each second";

/** What the recorders of all pipelines share. */
export interface RecorderPorts extends AdoptPorts {
  readonly clock: Clock;
  /** The burst of the runs that are due at this moment; undefined where nothing is due. */
  readonly burst: () => Burst | undefined;
  /** The last forward jump of the clock. */
  readonly lastJump: () => ClockStep | undefined;
  /** A run could not be made, because a path is bad. */
  readonly onBlocked?: ((pipeline: string, run: string, error: LedgerBlocked) => void) | undefined;
  /** Slots of a pipeline were missed; their lines are durable. */
  readonly onMissed?: ((loaded: LoadedPipeline, missed: readonly MissedSlot[]) => void) | undefined;
}

/** The line of a missed slot, or of a stretch of them. */
export type MissedSlot = Extract<PipelineEvent, { type: "slot.missed" }>;

/** What a recorder uses of its pipeline. */
export interface RecorderView {
  readonly name: string;
  readonly loaded: LoadedPipeline | undefined;
  append(events: readonly PipelineEvent[]): Promise<unknown>;
}

/** The decision that a slot has a run. */
type RunOutcome = Extract<Outcome, { kind: "run" }>;

/** How a run's ledger is made. */
interface MakeOptions {
  /** The header's time, ISO 8601; default: now. */
  readonly decidedAt?: string | undefined;
  /** The burst that it has joined. */
  readonly burst?: Burst | undefined;
}

/** What carrying out one outcome gave. */
interface Made {
  /** The slot's line; undefined where it has one already. */
  readonly event?: SlotEvent;
  /** Lines that are written with it. */
  readonly more: readonly PipelineEvent[];
  /** A run that was taken over, and goes on. */
  readonly adopted?: ActiveRun | undefined;
}

/** Records the slots of one pipeline. */
export class SlotRecorder {
  readonly #view: RecorderView;
  readonly #ports: RecorderPorts;
  /** The jump of the clock that has its line already. */
  #told: ClockStep | undefined;

  constructor(view: RecorderView, ports: RecorderPorts) {
    this.#view = view;
    this.#ports = ports;
  }

  /**
   * Makes the runs and writes the lines of these outcomes. Durable when it resolves. The runs of a
   * burst wait for each other: the first ledger is made when all of them are decided.
   */
  record(outcomes: readonly Outcome[], now: number): Promise<void> {
    return new Promise((resolve) => this.begin(outcomes, now, resolve));
  }

  /**
   * As {@link record}. Until the turn comes in a burst, nothing but `begun` is there for it: no
   * promise is.
   *
   * @param begun called as it begins, with what {@link record} would give
   */
  begin(outcomes: readonly Outcome[], now: number, begun: (recorded: Promise<void>) => void): void {
    const burst = this.#ports.burst();
    let runs = 0;
    if (burst !== undefined)
      for (let index = endOfWrite(outcomes, 0, now) - 1; index >= 0; index -= 1)
        if (outcomes[index]!.kind === "run") runs += 1;
    if (burst === undefined || runs === 0) begun(this.#writeAll(outcomes, now, undefined));
    else burst.join(runs, () => begun(this.#writeAll(outcomes, now, burst)));
  }

  /** @param burst the burst that the runs of the first write have joined */
  async #writeAll(
    outcomes: readonly Outcome[],
    now: number,
    burst: Burst | undefined,
  ): Promise<void> {
    for (let start = 0; start < outcomes.length;) {
      const end = endOfWrite(outcomes, start, now);
      // Later writes join no burst: the lines before them may wait for its end.
      await this.#write(outcomes.slice(start, end), now, start > 0 ? undefined : burst);
      start = end;
    }
  }

  /**
   * Makes a run, and writes the pipeline's lines for it; durable when it resolves.
   *
   * @param lines the lines that go before the run's own
   * @throws as `RunMaker.create` does
   */
  async make(
    entry: ActiveRun,
    header: RunHeader,
    lines: readonly PipelineEvent[] = [],
  ): Promise<void> {
    const line = await this.#begin(entry, header, {});
    await this.#append([...lines, line], [entry]);
  }

  /**
   * Makes a run's ledger, and lets the run start or wait. Its start need not wait for the
   * pipeline's line, which is the caller's to append (semantics.md 4).
   *
   * @returns that line
   * @throws as `RunMaker.create` does
   */
  async #begin(entry: ActiveRun, header: RunHeader, options: MakeOptions): Promise<PipelineEvent> {
    this.#ports.runs.attach(entry, await this.#create(entry, header, options));
    const { run, trigger } = header;
    const { requestId } = trigger;
    const line: PipelineEvent = entry.going
      ? { type: "run.started", run, trigger: trigger.kind }
      : { type: "run.queued", run, because: entry.because };
    return requestId === undefined ? line : Object.assign(line, { requestId });
  }

  /** Appends lines, among them those of runs: their ends may follow from now on. */
  #append(lines: readonly PipelineEvent[], begun: readonly ActiveRun[]): Promise<unknown> {
    const written = this.#view.append(lines);
    for (const entry of begun) this.#ports.runs.record(entry);
    return written;
  }

  /** Makes a run's ledger. A run of a burst goes on once the last header of it is durable. */
  async #create(
    entry: ActiveRun,
    header: RunHeader,
    { decidedAt, burst }: MakeOptions,
  ): Promise<RunHandle> {
    let open = burst;
    try {
      return await this.#ports.maker.create(header, {
        decidedAt,
        durable: () => {
          open = undefined;
          burst?.leave();
          return burst?.over();
        },
      });
    } catch (error) {
      this.#ports.runs.drop(entry);
      throw error;
    } finally {
      open?.leave();
    }
  }

  async #write(chunk: readonly Outcome[], now: number, burst: Burst | undefined): Promise<void> {
    const made = await Promise.all(chunk.map((outcome) => this.#make(outcome, burst)));
    const lines: PipelineEvent[] = [];
    let after: number | undefined;
    for (let index = made.length - 1; index >= 0; index -= 1) {
      const { event } = made[index]!;
      if (event === undefined) continue;
      const through = throughOf(chunk[index]!, now);
      lines.unshift(
        through === undefined || through === after
          ? event
          : Object.assign(event, { through: iso(through) }),
      );
      after = through;
    }
    for (const { more } of made) lines.push(...more);
    const jump = this.#jumpLine(chunk);
    await this.#append(jump === undefined ? lines : [jump, ...lines], [
      ...chunk.flatMap((outcome) => (outcome.kind === "run" ? [outcome.entry] : [])),
      ...made.flatMap(({ adopted }) => adopted ?? []),
    ]);
    const missed = lines.filter((line) => line.type === "slot.missed");
    if (missed.length > 0 && this.#view.loaded !== undefined)
      this.#ports.onMissed?.(this.#view.loaded, missed);
  }

  /** The line that explains why slots are caught up, if the clock jumped; once for each jump. */
  #jumpLine(chunk: readonly Outcome[]): PipelineEvent | undefined {
    const jump = this.#ports.lastJump();
    if (jump === undefined || this.#told === jump) return undefined;
    if (
      !chunk.some(
        ({ through }) => through !== undefined && through > jump.from && through <= jump.to,
      )
    )
      return undefined;
    this.#told = jump;
    return {
      type: "clock.stepped",
      from: iso(jump.from),
      to: iso(jump.to),
      because: "the clock jumped ahead: it was set, or the machine slept",
    };
  }

  async #make(outcome: Outcome, burst: Burst | undefined): Promise<Made> {
    switch (outcome.kind) {
      case "line":
        return { event: outcome.event, more: [] };
      case "adopt":
        return this.#adopt(outcome.slot, outcome.run);
      case "run":
        return this.#makeRun(outcome, burst);
    }
  }

  async #makeRun(outcome: RunOutcome, burst: Burst | undefined): Promise<Made> {
    const { entry, header, slot, decidedAt } = outcome;
    const { run } = header;
    let line: PipelineEvent;
    try {
      line = await this.#begin(entry, header, { decidedAt, burst });
    } catch (error) {
      if (error instanceof LedgerExists) return this.#adopt(slot, run);
      return this.#missed(slot, run, "its run could not be made", error);
    }
    return { event: firedLine(outcome), more: [line] };
  }

  /** The slot cannot have its run, so it is missed. The next slot tries again. */
  #missed(slot: DueSlot, run: string, what: string, error: unknown): Made {
    const pipeline = this.#view.name;
    const { log, onBlocked } = this.#ports;
    if (error instanceof LedgerBlocked) onBlocked?.(pipeline, run, error);
    else log.error({ pipeline, run, err: error }, `a run could not be made: ${what}`);
    const because = `${what}: ${messageOf(error)}`;
    return { event: { type: "slot.missed", ...slotFields(slot), because }, more: [] };
  }

  /**
   * Takes over the slot's run: a crash came before its line, or the clock went back over the slot.
   */
  async #adopt(slot: DueSlot, run: string): Promise<Made> {
    const { name, loaded } = this.#view;
    const { clock, log } = this.#ports;
    let adopted: Adopted;
    try {
      const terms = queueTermsOf(name, loaded);
      // Other slots wait with it: no line may move the watermark over this one.
      adopted = await untilRoom(
        { clock, onHeld: (held, error) => held && log.error({ run, err: error }, UNSEEN) },
        () => adoptRun(run, name, this.#ports, terms),
        lacksDescriptor,
      );
    } catch (error) {
      if (!isPathFault(error)) throw error;
      return this.#missed(slot, run, "its run's name is taken by what is no ledger", error);
    }
    if (adopted.recorded) return { more: [] };
    const type = adopted.kind === "catch_up" ? "slot.caught_up" : "slot.fired";
    return {
      event: {
        type,
        ...slotFields(slot),
        run,
        because: "its run was there already: a crash came before this line",
      },
      more: adopted.lines,
      adopted: adopted.going,
    };
  }
}

/** The watermark after this outcome; never ahead of the clock. */
function throughOf({ through }: Outcome, now: number): number | undefined {
  return through === undefined ? undefined : Math.min(through, now);
}

/** Where the outcomes of one write end that begins at `start`. */
function endOfWrite(outcomes: readonly Outcome[], start: number, now: number): number {
  let end = Math.min(outcomes.length, start + SLOTS_A_WRITE);
  while (
    end < outcomes.length &&
    throughOf(outcomes[end]!, now) === throughOf(outcomes[end - 1]!, now)
  )
    end += 1;
  return end;
}

/**
 * The line of a slot that has a run. Member by member: members that are added to a copied object
 * cost V8 forty times as much.
 */
function firedLine({ header, slot, late, latenessMs }: RunOutcome): SlotEvent {
  const { slot: time, schedule, of } = slotFields(slot);
  const type = late ? "slot.caught_up" : "slot.fired";
  const { run, because = "its slot was due" } = header;
  if (schedule !== undefined) return { type, slot: time, schedule, run, because, latenessMs };
  return of === undefined
    ? { type, slot: time, run, because, latenessMs }
    : { type, slot: time, of, run, because, latenessMs };
}
