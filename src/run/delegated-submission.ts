/** What a user's orchestrator is given of a run. */
import type { RunState } from "../core/run-state.ts";
import { runStatus } from "../core/run-status.ts";
import type { Json, Snapshot } from "../core/snapshot.ts";
import type { PlaceholderRun } from "../orchestrators/submission.ts";
import type { RunParts } from "./run-parts.ts";

/** The run, as it stands now. @param began the orchestrator has asked for a step */
export function placeholderOf(state: RunState, began: boolean): PlaceholderRun {
  const { run, pipeline, orchestratorRunId, trigger, params, metadata } = state;
  const { status } = runStatus(state);
  return {
    id: run,
    pipeline,
    status: status === "running" && !began ? "initializing" : status,
    orchestratorRunId,
    ...(trigger.scheduledFor === undefined ? {} : { scheduledFor: trigger.scheduledFor }),
    params,
    metadata: metadata ?? {},
  };
}

/** A submission as it is sent to the orchestrator's code. */
export interface SubmissionArgument {
  /**
   * Plain JSON. A step's environment in it is only what lies above `baseEnvironment`: the two are
   * merged where the code runs, because thousands of steps share one base.
   */
  readonly argument: Json;
  /** The values in it that must be masked. */
  readonly secrets: readonly string[];
}

/**
 * The argument of `submitPipeline`, or of `submitDynamicPipeline` where the pipeline is dynamic.
 * The live stack is made where the orchestrator's code runs: here are its names alone.
 *
 * @param flavor the orchestrator's name
 * @throws Error, a sentence, where a secret is not there
 */
export function submissionOf(
  { state, environment }: Pick<RunParts, "state" | "environment">,
  flavor: string,
  placeholderRun: PlaceholderRun,
): SubmissionArgument {
  const shared = environment.shared();
  const steps = state.snapshot.steps.filter(({ id }) => state.steps.get(id)?.phase !== "ended");
  const snapshot: Snapshot = { ...state.snapshot, steps };
  const stack = {
    name: flavor,
    orchestrator: { type: "orchestrator", name: flavor },
    artifactStore: { type: "artifact_store", name: "runs" },
    alerters: [],
    environment: state.snapshot.stackEnv ?? {},
  };
  const common = { snapshot, stack, placeholderRun };
  if (state.snapshot.dynamic !== undefined)
    return {
      argument: { ...common, environment: shared.env } as unknown as Json,
      secrets: shared.secrets,
    };
  const own = steps.map(({ id, env }) => [id, environment.above(id, env)] as const);
  const stepEnvironments = Object.fromEntries(own.map(([id, { env }]) => [id, env]));
  return {
    argument: { ...common, baseEnvironment: shared.env, stepEnvironments } as unknown as Json,
    secrets: [...new Set([shared, ...own.map(([, above]) => above)].flatMap((of) => of.secrets))],
  };
}
