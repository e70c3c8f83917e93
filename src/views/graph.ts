/** The steps of a pipeline or run and what each needs, as `orchd graph` draws them. */
import { defined } from "../core/defined.ts";
import type { RunState } from "../core/run-state.ts";
import { runStatus } from "../core/run-status.ts";
import type { Snapshot, SnapshotStep } from "../core/snapshot.ts";

/** The steps of a pipeline, or of a run. */
export interface Graph {
  /** The pipeline's name, or the run's id. */
  readonly name: string;
  /** Of a run: how it stands. */
  readonly status?: string;
  /** The pipeline's function decides its steps as it runs. */
  readonly dynamic: boolean;
  readonly steps: readonly GraphStep[];
}

/** One step of a {@link Graph}. */
export interface GraphStep {
  readonly step: string;
  /** Data: what each input comes from. */
  readonly inputs: readonly {
    readonly name: string;
    readonly from: string;
    readonly output?: string;
  }[];
  /** Order without data. */
  readonly after: readonly string[];
  /** Of a run: how the step stands. */
  readonly status?: string;
}

/** A pipeline's steps. */
export function pipelineGraph(pipeline: string, snapshot: Snapshot): Graph {
  return {
    name: pipeline,
    dynamic: snapshot.dynamic !== undefined,
    steps: snapshot.steps.map((step) => graphStep(step)),
  };
}

/** A run's steps, with how each stands. */
export function runGraph(state: RunState): Graph {
  return {
    name: state.run,
    status: runStatus(state).status,
    dynamic: state.snapshot.dynamic !== undefined,
    steps: [...state.steps.values()].map((step) => graphStep(step.spec, step.status)),
  };
}

function graphStep(spec: SnapshotStep, status?: string): GraphStep {
  return {
    step: spec.id,
    inputs: Object.entries(spec.inputs).map(([name, { step, output }]) => ({
      name,
      from: step,
      ...defined({ output }),
    })),
    after: spec.after,
    ...defined({ status }),
  };
}

/** The steps that a step needs, each once, those that give data first. */
export function needsOf(step: GraphStep): string[] {
  return [...new Set([...step.inputs.map(({ from }) => from), ...step.after])];
}

/** Each step's level: one more than the highest of what it needs, from 0. */
export function levels(steps: readonly GraphStep[]): Map<string, number> {
  const level = new Map<string, number>();
  // Steps come in an order in which each stands after all it needs.
  for (const step of steps)
    level.set(step.step, Math.max(0, ...needsOf(step).map((need) => (level.get(need) ?? -1) + 1)));
  return level;
}
