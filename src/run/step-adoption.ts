/**
 * The steps of an earlier daemon that still run when this one takes their run over: those in
 * containers of their own. Their place finds them, and they go on under the same token.
 */
import type { StepState } from "../core/run-state.ts";
import type { EarlierAttempt, TaskHandlers } from "../places/place.ts";
import type { TaskEnd } from "../places/run-task.ts";
import { heardLines } from "./heard-lines.ts";
import type { RunParts } from "./run-parts.ts";
import { taskOf, type PreparationContext } from "./step-preparation.ts";

/**
 * Goes on with them. Never rejects.
 *
 * @param ended hears how each of them ended
 * @returns their ids
 */
export async function adoptSteps(
  { state, deps, output, arrive }: RunParts,
  context: PreparationContext,
  ended: (step: string, token: number, end: TaskEnd) => void,
): Promise<string[]> {
  const steps = new Map<string, StepState>();
  const attempts = new Map<string, EarlierAttempt>();
  for (const id of state.running) {
    const step = state.steps.get(id)!;
    if (step.spec.container === undefined || step.elsewhere === true) continue;
    const task = `${state.run}#${step.token}`;
    steps.set(task, step);
    // In a container that runs already nothing is adopted: what is left there is ended.
    if (step.spec.container.exec !== undefined) continue;
    try {
      const heard = await heardLines(deps.runStore.runLog(state.run), step);
      attempts.set(task, { task: taskOf(state, step, context), heard });
    } catch (error) {
      deps.log.warn(
        { run: state.run, step: id, err: error },
        "a step that runs in a container cannot be taken over: it is ended",
      );
    }
  }
  if (steps.size === 0) return [];
  const handlersOf = (task: string): TaskHandlers => {
    const { spec, token } = steps.get(task)!;
    return {
      output,
      done: (result, durationMs) =>
        arrive(() => ended(spec.id, token, { kind: "result", result, durationMs })),
      died: (death) => arrive(() => ended(spec.id, token, { kind: "ownDeath", death })),
    };
  };
  const attemptOf = (task: string): EarlierAttempt | undefined => attempts.get(task);
  try {
    const adopted = await deps.place.adopt([...steps.keys()], handlersOf, attemptOf);
    return Array.from(adopted, (task) => steps.get(task)!.spec.id);
  } catch (error) {
    deps.log.warn({ run: state.run, err: error }, "what runs in containers cannot be taken over");
    return [];
  }
}
