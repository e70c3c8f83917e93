/**
 * Runs without steps. Each has a real ledger, and takes as long as the script says, on the virtual
 * clock.
 */
import type { Clock, Timer } from "../../src/clock.ts";
import { defined } from "../../src/core/defined.ts";
import type { RunEvent, RunHeader, RunLine } from "../../src/core/event.ts";
import { evolve } from "../../src/core/run-fold.ts";
import type { RunState } from "../../src/core/run-state.ts";
import type { FinalRunStatus } from "../../src/core/status.ts";
import type { QueueLimits, RunEnd, RunHandle, RunMaker } from "../../src/engine/ports.ts";
import type { StopAnswer, StopOrder } from "../../src/core/stop-order.ts";
import type { Disk } from "../../src/disk/disk.ts";
import { LedgerFile } from "../../src/ledger/ledger-file.ts";
import type { RunStore } from "../../src/ledger/run-store.ts";

export interface Script {
  /** How long a run takes, in milliseconds. */
  durationOf(run: string): number;
  /** How long daemons worked on a run, where that is not how long it took, in milliseconds. */
  workedMsOf?(run: string): number | undefined;
  /** How long a graceful stop takes, in milliseconds. Default: 0. */
  stopMs?: number;
}

export class ScriptedRuns implements RunMaker {
  /** Every run that was started by this maker, in order. */
  readonly started: string[] = [];
  readonly live = new Map<string, ScriptedRun>();
  readonly parts: {
    readonly clock: Clock;
    readonly store: RunStore;
    readonly disk: Disk;
    readonly script: Script;
    readonly onFatal: (error: Error) => void;
  };

  constructor(parts: ScriptedRuns["parts"]) {
    this.parts = parts;
  }

  async create(header: RunHeader): Promise<RunHandle> {
    const run = new ScriptedRun(this, header.run);
    run.file = await LedgerFile.create<RunEvent>(
      this.parts.store.runLedger(header.run),
      [header],
      run.options(),
    );
    this.live.set(header.run, run);
    return run;
  }

  async recover(id: string): Promise<RunHandle | undefined> {
    const run = new ScriptedRun(this, id);
    const { file, lines } = await LedgerFile.open<RunEvent>(
      this.parts.store.runLedger(id),
      run.options(),
    );
    for (const line of lines) run.see(line);
    run.file = file;
    if (run.state.phase === "finished") {
      await file.close();
      return undefined;
    }
    this.live.set(id, run);
    await file.append([{ type: "run.recovered", because: "the daemon was restarted" }]);
    return run;
  }
}

export class ScriptedRun implements RunHandle {
  readonly #maker: ScriptedRuns;
  readonly id: string;
  file!: LedgerFile<RunEvent>;
  #state: RunState | undefined;
  readonly finished: Promise<RunEnd>;
  #finish!: (end: RunEnd) => void;
  #timer: Timer | undefined;
  /** When it started, or went on, in monotonic milliseconds. */
  #began: number | undefined;
  #ending = false;
  #drained = false;

  constructor(maker: ScriptedRuns, id: string) {
    this.#maker = maker;
    this.id = id;
    this.finished = new Promise((resolve) => (this.#finish = resolve));
  }

  get state(): RunState {
    return this.#state!;
  }

  options() {
    const { clock, disk, onFatal } = this.#maker.parts;
    return {
      clock,
      disk,
      onFatal,
      onDurable: (lines: readonly RunLine[]) => lines.forEach((line) => this.see(line)),
    };
  }

  see(line: RunLine): void {
    this.#state = evolve(this.#state, line);
  }

  start(because: string): void {
    this.#maker.started.push(this.id);
    if (this.state.phase === "started") return this.#goOn();
    void this.#append([{ type: "run.started", because }]).then(() => this.#goOn());
  }

  async queue(because: string, limits?: QueueLimits): Promise<void> {
    await this.#append([defined({ type: "run.queued", because, limits: limits && { ...limits } })]);
  }

  async requestStop({ mode, by, requestId, because }: StopOrder): Promise<StopAnswer> {
    if (this.state.phase === "finished" || this.#ending)
      return { accepted: false, reason: "it has finished" };
    if (this.state.stop !== undefined && (this.state.stop.mode === "force" || mode === "graceful"))
      return { accepted: false, reason: "it is stopping already" };
    await this.#append([defined({ type: "run.stop_requested", mode, by, requestId, because })]);
    this.#timer?.cancel();
    const stopMs =
      mode === "force" || this.state.phase !== "started"
        ? 0
        : (this.#maker.parts.script.stopMs ?? 0);
    this.#timer = this.#maker.parts.clock.after(
      stopMs,
      () => void this.end("stopped", because ?? `stopped by ${by}`),
    );
    return { accepted: true };
  }

  drain(): Promise<void> {
    this.#drained = true;
    this.#timer?.cancel();
    return Promise.resolve();
  }

  async end(status: FinalRunStatus, because = "it is over"): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    this.#timer?.cancel();
    const durationMs =
      this.#began === undefined ? 0 : Math.round(this.#maker.parts.clock.monotonic() - this.#began);
    const workedMs = this.#maker.parts.script.workedMsOf?.(this.id);
    const times = defined({ durationMs, workedMs });
    await this.#append([{ type: "run.finished", status, because, ...times }]);
    if (this.#state?.phase !== "finished") return;
    await this.file.close().catch(() => undefined);
    this.#maker.live.delete(this.id);
    this.#finish({ status, because, ...times });
  }

  #goOn(): void {
    if (this.#drained || this.state.stop !== undefined || this.state.phase !== "started") return;
    const { clock, script } = this.#maker.parts;
    this.#began = clock.monotonic();
    this.#timer = clock.after(script.durationOf(this.id), () => void this.end("completed"));
  }

  async #append(events: readonly RunEvent[]): Promise<void> {
    await this.file.append(events).catch(() => undefined);
  }
}
