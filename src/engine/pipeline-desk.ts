/**
 * One pipeline under the engine: its ledger, the version in force, and the decision on each of its
 * slots. (The engine owns many runs, a run-loop drives one; a desk owns the slots of a pipeline.)
 *
 * `#cursor` is the watermark in memory: all slots that were due up to it are decided, and their
 * lines are written or given to the ledger. The ledger's `through` follows it.
 *
 * Everything that changes the pipeline takes its turn (`#turns`). So the slots that were due before
 * a load or a pause are decided before it. A decision on slots starts at once where nobody has the
 * turn. It is synchronous until the headers are written, because a thousand pipelines may be due in
 * the same second. Only very many slots that were missed are decided step by step, beside all else.
 *
 * It stays one file: all that changes a pipeline shares the turn and the cursor.
 *
 * Invariants:
 *
 * - Lines go into the ledger in the order of due times. Lines of equal due time are one write, and
 *   the last of them carries `through` (semantics.md 3).
 * - A run's header is durable before its slot's line is written (semantics.md 4).
 * - A slot that fired never fires again.
 */
import { statSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { defined } from "../core/defined.ts";
import type { PipelineEvent, RunHeader } from "../core/event.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import { isSameFile } from "../core/name-holder.ts";
import { aboutOf } from "../core/pipeline-about.ts";
import { forgottenAfter } from "../core/pipeline-fold.ts";
import type { PipelineState } from "../core/pipeline-state.ts";
import { packSlots } from "../core/schedule/slot-list.ts";
import type { Schedule } from "../core/schedule/schedule-schema.ts";
import type { Json } from "../core/snapshot.ts";
import { iso } from "../core/time.ts";
import { firedSlotsAfter } from "../ledger/fired-slots.ts";
import type { ClosedLedger } from "../ledger/left-ledgers.ts";
import type { PipelineLedger } from "../ledger/pipeline-ledger.ts";
import type { ActiveRun, QueueTerms, RunTicket } from "./active-runs.ts";
import { endLine } from "./end-line.ts";
import type { FewAtOnce } from "./few-at-once.ts";
import type { RunEnd } from "./ports.ts";
import type { ClockStep } from "./scheduler.ts";
import { queueTermsOf } from "./queue-terms.ts";
import { SlotDecider, type DeciderPorts, type DeciderView, type Outcome } from "./slot-decider.ts";
import { SlotRecorder, type RecorderPorts, type RecorderView } from "./slot-recorder.ts";
import { Turns } from "./turns.ts";

/** What all desks share. */
export interface DeskPorts extends DeciderPorts, RecorderPorts {
  /** Told when the pipeline's next slot is due. */
  readonly onNext: (pipeline: string, due: number | undefined) => void;
  /** Told when a version came into force. */
  readonly onInForce: (pipeline: string) => void;
  /** Somebody touched ledgers of a pipeline under the daemon: what happened, as a clause. */
  readonly onDisturbed?: ((pipeline: string, because: string) => void) | undefined;
  /** The version of the time-zone data, for `pipeline.loaded`. */
  readonly tzdata: string;
  /** The pipelines that decide very many slots. */
  readonly fewAtOnce: FewAtOnce;
  /** Whether the daemon does not end: otherwise slots that are left are left to the next one. */
  readonly goesOn: () => boolean;
}

const NONE: readonly Outcome[] = [];
/** How long the steps of one turn of the event loop take, in milliseconds. */
const STEPS_MS = 20;

/** One pipeline. */
export class PipelineDesk implements DeciderView, RecorderView {
  readonly name: string;
  readonly #ledger: PipelineLedger;
  readonly #ports: DeskPorts;
  #loaded: LoadedPipeline | undefined;
  /** Why there is no version in force, as a clause; undefined while there is one. */
  #without: string | undefined = "its file has not been read yet";
  readonly #decider: SlotDecider;
  readonly #recorder: SlotRecorder;
  #cursor: number | undefined;
  readonly #turns = new Turns();
  #decideQueued = false;
  /** Very many slots are decided, step by step. */
  #isBehind = false;
  /** A run that was made may have no line. */
  #lacksLines = false;
  /** The folder of the last run's ledger at the last look. */
  #folder: { readonly path: string; readonly folder: string | undefined } | undefined;

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

  /** The ledger was damaged: what it said of slots before this daemon's start is lost. */
  get damaged(): boolean {
    return this.#ledger.damage !== undefined;
  }

  /**
   * When the last good line was written that an earlier daemon left, in milliseconds since 1970.
   * Undefined if there was none.
   */
  get leftAt(): number | undefined {
    const { leftAt } = this.#ledger;
    return leftAt === undefined ? undefined : Date.parse(leftAt);
  }

  /**
   * When the daemon before this one looked at the ledger last, where nobody has touched it since:
   * wall time, in milliseconds. All runs that it had made are in it.
   */
  get untouchedSince(): number | undefined {
    return this.#ledger.untouchedSince;
  }

  /** The ledger once it is closed; undefined where a line of it may be missing. */
  get closed(): ClosedLedger | undefined {
    const { pipeline, path, end } = this.#ledger;
    return end === undefined || this.#lacksLines ? undefined : { pipeline, path, end };
  }

  /** Appends lines to the pipeline's ledger. Durable when it resolves. */
  append(events: readonly PipelineEvent[]): Promise<unknown> {
    return this.#ledger.append(events);
  }

  /** The seq of the last durable line of the pipeline's ledger. */
  get lastSeq(): number {
    return this.#ledger.lastSeq;
  }

  /** A run that was made may have no line: the next daemon has to look for it. */
  mayLackLine(): void {
    this.#lacksLines = true;
  }

  /** Looks whether somebody touched the pipeline's ledger, or removed the folder of its runs. */
  look(): void {
    this.#ledger.look();
    const run = this.state.last?.run;
    if (run === undefined) return;
    const path = this.#ports.store.runDir(run);
    let folder: string | undefined;
    try {
      folder = identityOf(path);
    } catch {
      // It cannot be looked at now. That is told where a run of it is made.
      return;
    }
    const before = this.#folder;
    this.#folder = { path, folder };
    if (before?.path !== path || before.folder === undefined || before.folder === folder) return;
    this.#ports.onDisturbed?.(
      this.name,
      `the folder ${path} was removed or replaced; the ledgers of the finished runs in it are gone`,
    );
  }

  /**
   * Decides the slots that are due. The decision is made before this returns, or right after a
   * change of the pipeline that is under way.
   */
  decide(): void {
    if (this.#decideQueued) return;
    if (!this.#turns.isTaken) return this.#decideAtOnce();
    this.#decideQueued = true;
    this.#turns
      .take(async () => {
        this.#decideQueued = false;
        const now = this.#ports.clock.now();
        await this.#decideDue(now, this.#stillDue(now));
      })
      .catch((error: unknown) => this.#undecided(error));
  }

  /** Takes the turn, and makes no promise before there is something to wait for. */
  #decideAtOnce(): void {
    this.#turns.begin();
    try {
      const now = this.#ports.clock.now();
      const outcomes = this.#outcomesUntil(now);
      if (outcomes === undefined) this.#endWith(this.#decideLong(now, this.#stillDue(now)));
      else if (outcomes.length === 0) this.#turns.end();
      else this.#recorder.begin(outcomes, now, (recorded) => this.#endWith(recorded));
    } catch (error) {
      this.#undecided(error);
      this.#turns.end();
    }
  }

  /** Whether the daemon goes on, and the clock did not go back. */
  #stillDue(now: number): () => boolean {
    const { clock, goesOn } = this.#ports;
    return () => goesOn() && clock.now() >= now;
  }

  #endWith(recorded: Promise<void>): void {
    const ended = recorded.catch((error: unknown) => this.#undecided(error));
    void ended.finally(() => this.#turns.end());
  }

  #undecided(error: unknown): void {
    this.mayLackLine();
    this.#ports.log.error({ pipeline: this.name, err: error }, "slots could not be decided");
  }

  /** Whether very many slots that were not decided in time are being decided. */
  get isBehind(): boolean {
    return this.#isBehind;
  }

  /** Resolves once the turns taken so far are over: all that they wrote is durable. */
  settled(): Promise<void> {
    return this.#turns.take(() => Promise.resolve());
  }

  /** Puts a version in force. The slots of the version before it are decided first. */
  load(loaded: LoadedPipeline): Promise<void> {
    return this.#turns.take(async () => {
      const { state } = this;
      const json = JSON.parse(JSON.stringify(loaded.schedules)) as Json[];
      const rescheduled =
        state.digest === undefined ||
        state.removed ||
        JSON.stringify(state.schedules) !== JSON.stringify(json);
      // The ledger says which file holds the name, so a renamed file has a line too.
      const same =
        !rescheduled &&
        state.digest === loaded.digest &&
        state.errors.length === 0 &&
        // An older release did not record what the file says for people.
        state.about.tags !== undefined &&
        isSameFile(state.file, loaded.file);
      // After a restart nothing but the schedules is known of the old version: its slots that are
      // left run the new one.
      this.#loaded ??= loaded;
      this.#without = undefined;
      if (same) {
        this.#loaded = loaded;
        return this.#inForce();
      }
      const now = this.#ports.clock.now();
      // The clock may have gone back a moment ago, unnoticed. The new schedules count from now, not
      // from the cursor of the old ones.
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
          through: rescheduled ? iso(now) : undefined,
          ...aboutOf(loaded),
        }),
      ]);
      if (rescheduled) this.#cursor = now;
      this.#decider.reset(loaded.schedules);
      this.#inForce();
    });
  }

  /**
   * Puts a version in force again that was in force when the last daemon ended: its file is bad
   * now.
   */
  restore(loaded: LoadedPipeline): Promise<void> {
    return this.#turns.take(async () => {
      if (this.#loaded !== undefined || this.state.digest !== loaded.digest) return;
      this.#loaded = loaded;
      this.#without = undefined;
      this.#inForce();
    });
  }

  /** The file was refused: the version in force stays in force. */
  invalid(errors: readonly string[], file: string): Promise<void> {
    return this.#turns.take(async () => {
      if (this.#loaded === undefined)
        this.#without = `its file is invalid: ${errors[0] ?? "no reason given"}`;
      if (JSON.stringify(this.state.errors) !== JSON.stringify(errors))
        await this.append([{ type: "pipeline.invalid", errors: [...errors], file }]);
      this.#next();
    });
  }

  /** The file is gone: no slot fires any more. */
  remove(file: string | undefined): Promise<void> {
    return this.#turns.take(async () => {
      this.#without = "its file was removed";
      await this.#decideOld(this.#ports.clock.now());
      this.#loaded = undefined;
      this.#decider.reset([]);
      // A removed file that came back bad, and went again, leaves no error behind.
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
   * Pauses or resumes the schedule. The slots that were due until now are decided first.
   *
   * @returns whether anything changed
   */
  setPaused(
    paused: boolean,
    order: { readonly requestId: string; readonly by: string },
  ): Promise<boolean> {
    return this.#turns.take(async () => {
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
   * Lets nobody be told of the pipeline until a time, or lets people be told again.
   *
   * @param until ISO 8601; null: people are told again
   * @returns whether anything changed
   */
  setSilence(
    until: string | null,
    order: { readonly requestId: string; readonly by: string; readonly because?: string },
  ): Promise<boolean> {
    return this.#turns.take(async () => {
      const { silence } = this.state;
      const isSilent = silence !== undefined && Date.parse(silence.until) > this.#ports.clock.now();
      const changes = until !== null || isSilent;
      const { requestId } = order;
      await this.append([
        changes
          ? { type: "pipeline.silenced", until, ...order }
          : { type: "request.noted", requestId, because: "the pipeline is not silent" },
      ]);
      return changes;
    });
  }

  /**
   * The wall clock went back: slots that are in the future again are decided again, except those
   * that fired (semantics.md 8).
   */
  stepBack(step: ClockStep): Promise<void> {
    return this.#turns.take(async () => {
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
   * @param lines the pipeline's lines that go before the line of its start
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
    try {
      await this.#recorder.make(entry, header, lines);
    } catch (error) {
      this.mayLackLine();
      throw error;
    }
  }

  /** How this pipeline's runs queue, as far as that is known. */
  queueTerms(): QueueTerms {
    return queueTermsOf(this.name, this.#loaded);
  }

  /** Writes the line of a waiting run that starts. */
  recordStart(run: ActiveRun): Promise<unknown> {
    return this.append([{ type: "run.started", run: run.ticket.run, trigger: run.ticket.kind }]);
  }

  /** Writes the line of a run that ended. */
  recordEnd(run: string, end: RunEnd): Promise<unknown> {
    return this.append([endLine(run, end)]);
  }

  /** Closes the ledger. Call nothing else of the desk after that. */
  async close(): Promise<void> {
    await this.settled();
    await this.#ledger.close();
  }

  #inForce(): void {
    this.#next();
    this.#ports.onInForce(this.name);
  }

  #next(): void {
    this.#ports.onNext(
      this.name,
      this.#cursor === undefined ? undefined : this.#decider.nextDue(this.#cursor),
    );
  }

  /** @param goesOn whether very many slots are decided to their end */
  async #decideDue(now: number, goesOn: () => boolean = () => true): Promise<void> {
    const outcomes = this.#outcomesUntil(now);
    if (outcomes === undefined) await this.#decideLong(now, goesOn);
    else if (outcomes.length > 0) await this.#recorder.record(outcomes, now);
  }

  /**
   * Decides very many slots, and records them as it goes: others have their turns between, and no
   * more is held in memory than a step has. Where the daemon ends meanwhile, the next one does the
   * rest; where the clock goes back, the rest is not due.
   */
  async #decideLong(now: number, goesOn: () => boolean): Promise<void> {
    const from = this.#cursor!;
    this.#cursor = now;
    this.#isBehind = true;
    this.#next();
    const { clock, fewAtOnce } = this.#ports;
    try {
      await fewAtOnce.take(async () => {
        let since = clock.monotonic();
        for (const outcomes of this.#decider.decideInSteps(from, now)) {
          if (outcomes.length > 0) await this.#recorder.record(outcomes, now);
          if (clock.monotonic() - since >= STEPS_MS) {
            await nextTurn();
            since = clock.monotonic();
          }
          if (goesOn()) continue;
          // Whoever changes the pipeline yet decides the rest first.
          this.#cursor = this.state.through ?? from;
          return this.#next();
        }
      });
    } finally {
      this.#isBehind = false;
    }
  }

  /**
   * Decides the slots that are due until `now`; what came of it is to be recorded. Undefined: very
   * many are late, and none is decided.
   */
  #outcomesUntil(now: number): readonly Outcome[] | undefined {
    const from = this.#cursor;
    const isDue = from !== undefined && now > from;
    const outcomes = isDue ? this.#decider.decideIfFew(from, now) : NONE;
    if (outcomes === undefined) return undefined;
    if (isDue) this.#cursor = now;
    this.#next();
    return outcomes;
  }

  /**
   * Decides the slots that are left of schedules that are about to go: all that are due, and those
   * that only jitter still holds back.
   */
  async #decideOld(now: number): Promise<void> {
    await this.#decideDue(now);
    // After a crash here, slots that only jitter held back are known by their own lines: their due
    // time is in the future.
    if (this.#cursor !== undefined)
      await this.#recorder.record(this.#decider.decideEarly(this.#cursor, now), now);
  }
}

/**
 * A text that tells a folder from any other that has its name later; undefined: it is not there.
 * @throws a Node error
 */
function identityOf(path: string): string | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? undefined : `${stats.ino} ${stats.birthtimeMs}`;
}
