/**
 * One run of a root that this process holds without a daemon (held-root.ts).
 *
 * States: reserved (its header is durable, and nothing drives it) -> driven -> finished, which its
 * pipeline's ledger says too. A reserved run that is stopped is driven to its end at once, and none
 * of its steps starts.
 */
import type { RunState } from "../core/run-state.ts";
import type { StopAnswer, StopOrder } from "../core/stop-order.ts";
import type { PipelineLedger } from "../ledger/pipeline-ledger.ts";
import type { Flavor } from "../orchestrators/flavors.ts";
import { endLine } from "./end-line.ts";
import type { ReservedRun, RunEnd, RunHandle, SubmissionGiven } from "./ports.ts";

/** A run that this process makes and drives. */
export class HeldRun {
  readonly id: string;
  /**
   * Resolves once the run's end is in its own ledger and in its pipeline's. Rejects where it is
   * left to the next daemon.
   */
  readonly finished: Promise<RunEnd>;
  readonly #reserved: ReservedRun;
  readonly #ledger: PipelineLedger;
  #handle: Promise<RunHandle> | undefined;
  #isStarted = false;
  #finish!: (end: RunEnd) => void;
  #fail!: (error: unknown) => void;

  constructor(reserved: ReservedRun, ledger: PipelineLedger) {
    this.id = reserved.state.run;
    this.#reserved = reserved;
    this.#ledger = ledger;
    this.finished = new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.#fail = reject;
    });
    this.finished.catch(() => undefined);
  }

  /** The run, as its ledger says or is about to say. */
  get state(): RunState {
    return this.#reserved.state;
  }

  /** Whether it was started. */
  get isStarted(): boolean {
    return this.#isStarted;
  }

  /**
   * Lets its steps start. Resolves once its pipeline's ledger says so.
   *
   * @param given what its submission has in place of the snapshot's
   * @param flavor the orchestrator, where it is not the snapshot's
   */
  async start(because: string, given?: SubmissionGiven, flavor?: Flavor): Promise<void> {
    this.#isStarted = true;
    const { id: run } = this;
    const driven = this.#drive(given, flavor).then((handle) => handle.start(because));
    await Promise.all([
      driven,
      this.#ledger.append([{ type: "run.started", run, trigger: "manual" }]),
    ]);
  }

  /** Asks it to stop. Resolves once that is durable. */
  async requestStop(order: StopOrder): Promise<StopAnswer> {
    return (await this.#drive()).requestStop(order);
  }

  /** Drives it no more: the next daemon goes on with it. */
  async leave(): Promise<void> {
    await (await this.#drive()).drain(0);
    this.#fail(new Error(`run ${this.id} could not be stopped: the next daemon goes on with it`));
  }

  #drive(given?: SubmissionGiven, flavor?: Flavor): Promise<RunHandle> {
    if (this.#handle !== undefined) return this.#handle;
    this.#handle = this.#reserved.drive(given, flavor);
    this.#handle
      .then(({ finished }) => finished)
      .then((end) => this.#record(end))
      .then(this.#finish, this.#fail);
    return this.#handle;
  }

  async #record(end: RunEnd): Promise<RunEnd> {
    await this.#ledger.append([endLine(this.id, end)]);
    return end;
  }
}
