/**
 * What a user's orchestrator asks of orchd while it has a run: a step (`runStep`), the pipeline's
 * function, the hooks, the id that it gives the run, and that it has accepted it. An answer waits
 * until what it says is durable.
 */
import { defined } from "../core/defined.ts";
import { toStepError, type StepError } from "../core/failure.ts";
import type { Json } from "../core/snapshot.ts";
import type { StoredOutputs } from "../core/task.ts";
import type { AskedSteps } from "./asked-steps.ts";
import type { DynamicCalls } from "./dynamic-calls.ts";
import type { HookRuns } from "./hook-runs.ts";
import { OrchestratorRunId } from "./orchestrator-run-id.ts";
import type { RunParts } from "./run-parts.ts";

/** What the calls of an orchestrator are carried out with. */
export interface OrchestratorCallsParts {
  readonly asked: AskedSteps;
  readonly hooks: HookRuns;
  /** A dynamic pipeline's function. */
  readonly calls: DynamicCalls | undefined;
  /** The orchestrator calls the init hook itself. */
  readonly callsInit: boolean;
  /** The run is no longer driven. */
  isOver(): boolean;
  /** The orchestrator has the run now, and its line is durable. */
  accepted(): void;
  /** What it gave with its acceptance could not be recorded. */
  failed(error: StepError): void;
}

/** The calls of one run's orchestrator. */
export class OrchestratorCalls {
  /** The orchestrator has asked for the pipeline's function to be run. */
  runsFunction = false;
  readonly #parts: RunParts;
  readonly #of: OrchestratorCallsParts;
  readonly #runId: OrchestratorRunId;
  #callsInit: boolean;
  #waits = false;

  constructor(parts: RunParts, of: OrchestratorCallsParts) {
    this.#parts = parts;
    this.#of = of;
    this.#callsInit = of.callsInit;
    this.#runId = new OrchestratorRunId(parts, () => of.asked.steps.size > 0 || this.runsFunction);
  }

  /** It calls the init hook itself, and has asked for nothing that must come after that. */
  get callsInit(): boolean {
    return this.#callsInit;
  }

  /** It gave a `waitForCompletion`. */
  get waits(): boolean {
    return this.#waits;
  }

  /** It does not call the init hook itself any more. */
  pastInit(): void {
    this.#callsInit = false;
  }

  /** Carries out one call. Rejects with what is wrong with it. */
  carryOut(method: string, argument: Json): Promise<Json | StoredOutputs> {
    const { hooks } = this.#of;
    switch (method) {
      case "runStep":
        return this.#runStep(argument as { step: string; orchestratorRunId?: Json });
      case "identify":
        return this.#identify(argument);
      case "accepted":
        return new Promise((resolve) =>
          this.#parts.arrive(() =>
            this.#accepted(argument as Record<string, Json>, () => resolve(null)),
          ),
        );
      case "runFunction":
        return this.#runFunction((argument as { orchestratorRunId?: Json } | null) ?? {});
      case "runInitHook":
        return hooks.ask("init");
      case "runCleanupHook":
        return hooks.ask("cleanup");
      default:
        return Promise.reject(new Error(`an orchestrator cannot call "${method}"`));
    }
  }

  #runStep({ step, orchestratorRunId }: { step: string; orchestratorRunId?: Json }): Promise<Json> {
    const { state, arrive, journal, waiters } = this.#parts;
    const { asked } = this.#of;
    const known = state.steps.get(step);
    if (known === undefined)
      return Promise.reject(
        new Error(`the pipeline ${state.pipeline} has no step ${JSON.stringify(step)}`),
      );
    return new Promise((resolve, reject) =>
      arrive(() => {
        if (this.#of.isOver()) return;
        this.pastInit();
        this.#runId.tell(orchestratorRunId);
        const spent = asked.spent(known);
        if (spent !== undefined) return journal.afterwards(() => reject(spent));
        waiters.outputsOf(step).then(() => resolve(null), reject);
        if (known.phase === "ended") return journal.afterwards(() => waiters.settle(step));
        asked.add(known);
      }),
    );
  }

  /** The orchestrator names its run before it is given it. Answers the id that is in force. */
  #identify(orchestratorRunId: Json): Promise<Json> {
    const { arrive, journal, state } = this.#parts;
    return new Promise((resolve) =>
      arrive(() => {
        if (!this.#of.isOver()) this.#runId.tell(orchestratorRunId);
        journal.afterwards(() => resolve(state.orchestratorRunId));
      }),
    );
  }

  #runFunction({ orchestratorRunId }: { orchestratorRunId?: Json }): Promise<Json> {
    const { calls } = this.#of;
    if (calls === undefined)
      return Promise.reject(
        new Error("the pipeline is not a dynamic one: it has no function to run"),
      );
    const ended = calls.ended();
    this.#parts.arrive(() => {
      this.pastInit();
      this.#runId.tell(orchestratorRunId);
      this.runsFunction = true;
    });
    return ended.then((error) => {
      if (error !== undefined)
        throw Object.assign(new Error(error.message), { name: error.name, code: error.code });
      return null;
    });
  }

  #accepted(
    { orchestratorRunId, metadata, waits }: Record<string, Json>,
    recorded: () => void,
  ): void {
    const { emitWhole, journal, state } = this.#parts;
    const { isOver } = this.#of;
    this.#waits = waits === true;
    this.pastInit();
    if (isOver() || state.finished !== undefined) return recorded();
    emitWhole(
      defined({
        type: "submit.accepted",
        orchestratorRunId: this.#runId.accepted(orchestratorRunId),
        metadata: (metadata ?? {}) as { [name: string]: Json },
      }),
      () => {
        journal.afterwards(recorded);
        this.#of.accepted();
        return !isOver() && state.finished === undefined;
      },
      (error) => this.#of.failed(toStepError(error)),
    );
  }
}
