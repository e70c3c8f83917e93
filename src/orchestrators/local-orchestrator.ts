/**
 * The **orchestrator** that runs steps on this machine: module steps in worker threads, shell steps
 * in process groups of their own, both under a runner process. Orchd's run-loop plans every step of
 * its runs, so to submit is to let the run-loop begin.
 *
 * It shares out the pool's room between runs. A step is given its place when its start is decided,
 * which is before its line is durable and before the pool hears of it; so places that are promised
 * and not yet taken are counted here.
 */
import type { Lane, Room } from "../core/lane.ts";
import { BaseOrchestrator } from "./base-orchestrator.ts";
import { LOCAL_CAPABILITIES, type Capabilities } from "./capabilities.ts";
import type { TaskPool } from "../places/place.ts";
import type {
  FetchedStatus,
  PipelineSubmission,
  PlaceholderRun,
  SubmissionResult,
} from "./submission.ts";
import type { Task } from "../core/task.ts";
import type { TaskHandlers } from "../places/place.ts";

/** A run that is being driven, as its orchestrator sees it. */
export interface DrivenRun {
  readonly orchestratorRunId: string;
  /** Lets its steps start. */
  begin(): void;
  readonly finished: Promise<unknown>;
  status(): FetchedStatus;
  stop(graceful: boolean): Promise<void>;
}

/** See the head of this file. */
export class LocalOrchestrator extends BaseOrchestrator {
  static flavor = "local";
  readonly #pool: TaskPool;
  readonly #runs = new Map<string, DrivenRun>();
  readonly #promised = new Map<Lane, number>();

  constructor(pool: TaskPool) {
    super({}, "local");
    this.#pool = pool;
  }

  override get capabilities(): Capabilities {
    return LOCAL_CAPABILITIES;
  }

  /**
   * Every run has its own; this one speaks for the only run there is. @throws Error where there is
   * none, or more than one
   */
  override getOrchestratorRunId(): string {
    const [run, ...others] = this.#runs.values();
    if (run === undefined || others.length > 0)
      throw new Error(
        "Outside a step there is no one run; a step finds it in ORCHD_ORCHESTRATOR_RUN_ID.",
      );
    return run.orchestratorRunId;
  }

  override submitPipeline({ placeholderRun }: PipelineSubmission): Promise<SubmissionResult> {
    const run = this.#run(placeholderRun);
    run.begin();
    return Promise.resolve({ waitForCompletion: () => run.finished.then(() => undefined) });
  }

  override submitDynamicPipeline(
    submission: Pick<PipelineSubmission, "placeholderRun">,
  ): Promise<SubmissionResult> {
    return this.submitPipeline(submission as PipelineSubmission);
  }

  override fetchStatus(
    run: Pick<PlaceholderRun, "id">,
    { includeSteps }: { readonly includeSteps: boolean },
  ): Promise<FetchedStatus> {
    const { status, steps } = this.#runs.get(run.id)?.status() ?? {};
    return Promise.resolve({ status, ...(includeSteps ? { steps } : {}) });
  }

  override stopRun(
    run: Pick<PlaceholderRun, "id">,
    { graceful }: { readonly graceful: boolean },
  ): Promise<void> {
    return this.#run(run).stop(graceful);
  }

  /** Takes a run under its wing. */
  adopt(id: string, run: DrivenRun): void {
    this.#runs.set(id, run);
  }

  /** Lets go of a run that has ended. */
  release(id: string): void {
    this.#runs.delete(id);
  }

  /** How many more steps may be started now. */
  capacity(): Room {
    const room: { [lane: Lane]: number } = { ...this.#pool.capacity() };
    for (const [lane, promised] of this.#promised) room[lane] = (room[lane] ?? 0) - promised;
    return room;
  }

  /** A place for a step whose start is about to be written. */
  promise(lane: Lane): void {
    this.#promised.set(lane, (this.#promised.get(lane) ?? 0) + 1);
  }

  /** The step takes its place, or will not come. */
  redeem(lane: Lane): void {
    this.#promised.set(lane, (this.#promised.get(lane) ?? 0) - 1);
  }

  /** Starts a task. */
  startTask(
    id: string,
    task: Task,
    handlers: TaskHandlers,
    options?: { readonly alone?: boolean },
  ): void {
    this.#pool.start(id, task, handlers, options);
  }

  /** Tells a task to end. */
  stopTask(id: string, mode: "graceful" | "force", because: string): void {
    this.#pool.stop(id, mode, because);
  }

  #run(run: Pick<PlaceholderRun, "id">): DrivenRun {
    const driven = this.#runs.get(run.id);
    if (driven === undefined) throw new Error(`The run ${run.id} is not under way here.`);
    return driven;
  }
}
