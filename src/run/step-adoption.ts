/**
 * The steps of an earlier daemon that still run when this one takes their run over: those in
 * containers of their own, and those on other machines. Their place finds them, and they go on
 * under the same token.
 */
import { laneOf } from "../core/lane.ts";
import type { PlacedAt, StepState } from "../core/run-state.ts";
import type { EarlierAttempt, EarlierLane, TaskHandlers } from "../places/place.ts";
import { endOfDeath, type TaskEnd } from "../places/run-task.ts";
import { heardLines } from "./heard-lines.ts";
import type { RunParts } from "./run-parts.ts";
import { taskOf, type PreparationContext } from "./step-preparation.ts";

/** Hears of steps that go on. */
export interface AdoptionHearing {
  ended(step: string, token: number, end: TaskEnd): void;
  /** It is about to begin: no line says so yet. */
  placed(step: string, token: number, at: PlacedAt): void;
}

/**
 * Goes on with them. Never rejects.
 *
 * @param candidates the steps that may still run, with the tokens of their attempts
 * @returns the ids of those that do
 */
export async function adoptSteps(
  { state, deps, output, arrive }: RunParts,
  context: PreparationContext,
  candidates: readonly (readonly [step: string, token: number])[],
  { ended, placed }: AdoptionHearing,
): Promise<ReadonlySet<string>> {
  const steps = new Map<string, StepState>();
  const attempts = new Map<string, EarlierAttempt>();
  for (const [id, token] of candidates) steps.set(`${state.run}#${token}`, state.steps.get(id)!);
  for (const [task, step] of steps) {
    // In a container that runs already nothing is adopted: what is left there is ended.
    if (step.spec.container?.exec !== undefined) continue;
    try {
      const heard = await heardLines(deps.runStore.runLog(state.run), step);
      attempts.set(task, { task: taskOf(state, step, context), heard });
    } catch (error) {
      deps.log.warn(
        { run: state.run, step: step.spec.id, err: error },
        "a step that an earlier daemon started cannot be taken over: it is ended",
      );
    }
  }
  if (steps.size === 0) return new Set();
  const tokens = new Map(candidates.map(([id, token]) => [`${state.run}#${token}`, [id, token]]));
  const handlersOf = (task: string): TaskHandlers => {
    const [id, token] = tokens.get(task) as [string, number];
    const { alone } = steps.get(task)!;
    return {
      output,
      placed: placedAt(steps.get(task)!) ? undefined : (at) => arrive(() => placed(id, token, at)),
      done: (result, durationMs) =>
        arrive(() => ended(id, token, { kind: "result", result, durationMs })),
      died: (death) => arrive(() => ended(id, token, endOfDeath(death, alone))),
    };
  };
  const laneOfTask = (task: string): EarlierLane => {
    const step = steps.get(task)!;
    return { lane: laneOf(step.spec), placed: placedAt(step) };
  };
  const attemptOf = (task: string): EarlierAttempt | undefined => attempts.get(task);
  try {
    const adopted = await deps.place.adopt([...steps.keys()], handlersOf, attemptOf, laneOfTask);
    return new Set(Array.from(adopted, (task) => steps.get(task)!.spec.id));
  } catch (error) {
    deps.log.warn(
      { run: state.run, err: error },
      "what an earlier daemon started cannot be taken over",
    );
    return new Set();
  }
}

/** Where a step's last attempt began. */
function placedAt({ attempts }: StepState): PlacedAt | undefined {
  return attempts.at(-1)?.placed;
}
