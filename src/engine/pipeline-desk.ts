/**
 * One pipeline under the engine: its ledger, the version in force, and the decision of each of its
 * slots. (The engine owns many runs, a run-loop drives one, an orchestrator says where steps run; a
 * desk owns a pipeline's slots.)
 *
 * `cursor` is the watermark in memory: what was due up to it is decided, and its lines are written
 * or on their way. The ledger's `through` follows it. Everything that changes the pipeline takes
 * its turn (`#turn`), so that a load, a pause and the slots before it are decided in that order; a
 * decision on slots begins at once if nobody has the turn, and is synchronous until headers are
 * written, because a thousand pipelines may be due in the same second.
 *
 * Invariants: lines go into the ledger in the order of due times, those of equal due time in one
 * write, of which the last carries `through`; a run's header is durable before its slot's line is
 * written (semantics.md 3 and 4); a slot that fired never fires again.
 */
import type { Clock } from "../clock.ts";
import { defined } from "../core/defined.ts";
import type { PipelineEvent, RunHeader } from "../core/event.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import { forgottenAfter, type PipelineState } from "../core/pipeline-state.ts";
import { packSlots } from "../core/schedule/slot-list.ts";
import type { Schedule } from "../core/schedule/schedule-schema.ts";
import type { Json } from "../core/snapshot.ts";
import { iso } from "../core/time.ts";
import { firedSlotsAfter } from "../ledger/fired-slots.ts";
import type { PipelineLedger } from "../ledger/pipeline-ledger.ts";
import type { ActiveRun, QueueTerms, RunTicket } from "./active-runs.ts";
import type { RunEnd } from "./ports.ts";
import type { ClockStep } from "./scheduler.ts";
import { queueTermsOf, SlotDecider, type DeciderPorts, type DeciderView } from "./slot-decider.ts";
import { SlotRecorder, type RecorderPorts, type RecorderView } from "./slot-recorder.ts";

/** What a desk shares with all others. */
export interface DeskPorts extends DeciderPorts, RecorderPorts {
  readonly clock: Clock;
  /** When this pipeline has something due next. */
  readonly onNext: (pipeline: string, due: number | undefined) => void;
  /** The time-zone data's version, for the record. */
  readonly tzdata: string;
}

/** One pipeline: see the head of this file. */
export class PipelineDesk implements DeciderView, RecorderView {
  readonly name: string;
  readonly #ledger: PipelineLedger;
  readonly #ports: DeskPorts;
  #loaded: LoadedPipeline | undefined;
  /** Why there is no version in force; undefined while there is one. */
  #without: string | undefined = "its file has not been read yet";
  readonly #decider: SlotDecider;
  readonly #recorder: SlotRecorder;
  #cursor: number | undefined;
  #busy = false;
  readonly #queue: (() => void)[] = [];
  #decideQueued = false;

  constructor(ledger: PipelineLedger, ports: DeskPorts) {
    this.name = ledger.pipeline;
    this.#ledger = ledger;
    this.#ports = ports;
    const { state } = ledger;
    this.#cursor = state.through;
    this.#decider = new SlotDecider(
      this,
      ports,
      state.removed ? [] : (state.schedules as unknown as readonly Schedule[]),
    );
    this.#recorder = new SlotRecorder(this, ports);
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
    return this.#decider.schedules;
  }

  /** What the ledger said of slots up to when the daemon came up was lost. */
  get damaged(): boolean {
    return this.#ledger.damage !== undefined;
  }

  /**
   * When the last good line of a damaged ledger was written, in milliseconds since 1970; undefined
   * if it was not damaged.
   */
  get damagedSince(): number | undefined {
    const { damage } = this.#ledger;
    return damage === undefined
      ? undefined
      : Date.parse(damage.lastAt ?? "1970-01-01T00:00:00.000Z");
  }

  /** The pipeline's ledger, for those that write lines of their own into it. */
  append(events: readonly PipelineEvent[]): Promise<unknown> {
    return this.#ledger.append(events);
  }

  /**
   * Decides all that is due. The decision is made before this returns, unless the pipeline is being
   * changed; then right after that.
   */
  decide(): void {
    if (this.#decideQueued) return;
    this.#decideQueued = this.#busy;
    this.#turn(async () => {
      this.#decideQueued = false;
      await this.#decideDue(this.#ports.clock.now());
    }).catch((error: unknown) =>
      this.#ports.log.error({ pipeline: this.name, err: error }, "slots could not be decided"),
    );
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
      const rescheduled =
        state.digest === undefined ||
        state.removed ||
        JSON.stringify(state.schedules) !== JSON.stringify(json);
      const same = !rescheduled && state.digest === loaded.digest && state.errors.length === 0;
      // On a restart nothing else is known of the old version: what is left of its slots runs what
      // is there now.
      this.#loaded ??= loaded;
      this.#without = undefined;
      if (same) {
        this.#loaded = loaded;
        return this.#next();
      }
      const now = this.#ports.clock.now();
      // The clock may have gone back a moment ago, unnoticed: the new schedules count from now, and
      // not from where the old ones had come.
      if (rescheduled && this.#cursor !== undefined)
        await this.#goBack({ from: this.#cursor, to: now });
      if (rescheduled) await this.#decideOld(now);
      this.#loaded = loaded;
      const since = rescheduled ? now : state.since;
      await this.append([
        defined({
          type: "pipeline.loaded",
          digest: loaded.digest,
          schedules: json,
          tz: this.#ports.settings().timezone,
          tzdata: this.#ports.tzdata,
          file: loaded.file,
          since: since === undefined ? undefined : iso(since),
          through: rescheduled ? iso(Math.max(now, this.#cursor ?? now)) : undefined,
        }),
      ]);
      if (rescheduled) this.#cursor = Math.max(now, this.#cursor ?? now);
      this.#decider.reset(loaded.schedules);
      this.#next();
    });
  }

  /**
   * Puts the version back that was in force when the last daemon ended; its file is not good now.
   */
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
      if (this.#loaded === undefined)
        this.#without = `its file is invalid: ${errors[0] ?? "no reason given"}`;
      if (JSON.stringify(this.state.errors) !== JSON.stringify(errors))
        await this.append([{ type: "pipeline.invalid", errors: [...errors], file }]);
      this.#next();
    });
  }

  /** The file is gone: nothing fires any more. */
  remove(file: string | undefined): Promise<void> {
    return this.#turn(async () => {
      this.#without = "its file was removed";
      await this.#decideOld(this.#ports.clock.now());
      this.#loaded = undefined;
      this.#decider.reset([]);
      // A file that came back bad and went again leaves no error behind.
      if (
        this.state.errors.length > 0 ||
        (!this.state.removed && this.state.digest !== undefined)
      ) {
        await this.append([defined({ type: "pipeline.removed", file })]);
      }
      this.#next();
    });
  }

  /**
   * Pauses or resumes the schedule; what was due until now is decided first. @returns whether
   * anything changed
   */
  setPaused(
    paused: boolean,
    order: { readonly requestId: string; readonly by: string },
  ): Promise<boolean> {
    return this.#turn(async () => {
      await this.#decideDue(this.#ports.clock.now());
      const { requestId, by } = order;
      if (this.state.paused === paused) {
        await this.append([
          {
            type: "request.noted",
            requestId,
            because: paused ? "the pipeline is paused already" : "the pipeline is not paused",
          },
        ]);
        return false;
      }
      await this.append([
        {
          type: paused ? "pipeline.paused" : "pipeline.resumed",
          requestId,
          by,
          because: `asked for by ${by}`,
        },
      ]);
      return true;
    });
  }

  /**
   * The wall clock went back: what lies ahead once more is decided anew, save what fired
   * (semantics.md 8).
   */
  stepBack(step: ClockStep): Promise<void> {
    return this.#turn(async () => {
      await this.#goBack(step);
      this.#next();
    });
  }

  async #goBack({ from, to }: ClockStep): Promise<void> {
    if (this.#cursor === undefined || this.#cursor <= to) return;
    const after = forgottenAfter(this.state, to);
    const fired = after === undefined ? [] : firedSlotsAfter(this.#ledger.path, after);
    await this.append([
      defined({
        type: "clock.stepped",
        from: iso(from),
        to: iso(to),
        through: iso(to),
        because: "the clock went back: what fired stays so, the rest is decided anew",
        fired: fired.length === 0 ? undefined : packSlots(fired),
      }),
    ]);
    this.#cursor = to;
    this.#decider.reset(this.schedules);
  }

  /**
   * Makes a run that no slot asks for.
   *
   * @param line the pipeline's line for it, besides its start
   * @throws an Error with a sentence if its params cannot be taken, or LedgerExists
   */
  async makeRun(
    header: RunHeader,
    ticket: Omit<RunTicket, "pipeline" | "gracePeriodMs">,
    lines: readonly PipelineEvent[] = [],
  ): Promise<void> {
    const entry = this.#ports.runs.reserve(
      { ...ticket, pipeline: this.name, gracePeriodMs: header.snapshot.gracePeriodMs },
      header.because ?? "asked for",
    );
    await this.#recorder.make(entry, header, lines);
  }

  /** The lane, limit, group and priority of this pipeline's runs, as far as they are known. */
  queueTerms(): QueueTerms {
    return queueTermsOf(this.name, this.#loaded);
  }

  /** A run that waited starts: its line. */
  recordStart(run: ActiveRun): Promise<unknown> {
    return this.append([{ type: "run.started", run: run.ticket.run, trigger: run.ticket.kind }]);
  }

  /** A run ended: its line. */
  recordEnd(run: string, end: RunEnd): Promise<unknown> {
    return this.append([
      {
        type: "run.finished",
        run,
        status: end.status,
        durationMs: end.durationMs,
        because: end.because,
      },
    ]);
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

  #next(): void {
    this.#ports.onNext(
      this.name,
      this.#cursor === undefined ? undefined : this.#decider.nextDue(this.#cursor),
    );
  }

  async #decideDue(now: number): Promise<void> {
    const from = this.#cursor;
    if (from === undefined || now <= from) return this.#next();
    const outcomes = this.#decider.decide(from, now);
    this.#cursor = now;
    this.#next();
    if (outcomes.length > 0) await this.#recorder.record(outcomes, now);
  }

  /**
   * Decides what the schedules that are about to go have left: all that is due, and slots that only
   * jitter still holds back.
   */
  async #decideOld(now: number): Promise<void> {
    await this.#decideDue(now);
    // Should a crash come now, slots that only jitter held back are found by their own lines: their
    // due time is still to come.
    if (this.#cursor !== undefined)
      await this.#recorder.record(this.#decider.decideEarly(this.#cursor, now), now);
  }
}
