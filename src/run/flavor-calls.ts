/**
 * The calls of a run's orchestrator: to a class in a runner, a task each (flavor-tasks.ts), or to
 * an instance that a program in this process holds.
 */
import { toStepError } from "../core/failure.ts";
import type { TaskResult } from "../core/task.ts";
import type { TaskHandlers } from "../places/place.ts";
import type { Flavor, LiveOrchestrator } from "../orchestrators/flavors.ts";
import { answerLimit, FlavorTasks, type FlavorCall } from "./flavor-tasks.ts";
import type { RunParts } from "./run-parts.ts";

/** Calls the methods of one run's orchestrator. */
export type FlavorCalls = Pick<FlavorTasks, keyof FlavorTasks>;

/** How the orchestrator of a run is called. @param call what it asks of the run meanwhile */
export function flavorCalls(
  parts: RunParts,
  { live, ref }: Flavor,
  call: NonNullable<TaskHandlers["call"]>,
): FlavorCalls {
  return live === undefined ? new FlavorTasks(parts, ref!, call) : new LiveCalls(parts, live, call);
}

/** Calls an instance in this process. Nothing ends a call but the instance itself. */
class LiveCalls implements FlavorCalls {
  readonly #parts: RunParts;
  readonly #live: LiveOrchestrator;
  readonly #call: NonNullable<TaskHandlers["call"]>;
  /** The calls that have not answered, by id: each ends as stopped. */
  readonly #open = new Map<string, (because: string) => void>();
  #calls = 0;
  #over = false;

  constructor(parts: RunParts, live: LiveOrchestrator, call: NonNullable<TaskHandlers["call"]>) {
    this.#parts = parts;
    this.#live = live;
    this.#call = call;
  }

  start({ method, argument, timeoutMs, done }: FlavorCall): string {
    const { state, deps, arrive } = this.#parts;
    const id = `${state.run}#live-${method}-${(this.#calls += 1)}`;
    const hear = (result: TaskResult): void => {
      // What comes after a limit or a stop is not heard.
      if (!this.#open.delete(id)) return;
      timer?.cancel();
      arrive(() => void (this.#over || done(result)));
    };
    const failed = (error: unknown): void =>
      hear({ ok: false, outcome: "failed", error: toStepError(error) });
    this.#open.set(id, (because) =>
      hear({ ok: false, outcome: "stopped", error: { name: "StepStopped", message: because } }),
    );
    const limitMs = timeoutMs ?? answerLimit(method);
    const timer =
      limitMs === undefined
        ? undefined
        : deps.clock.after(limitMs, () =>
            failed(new Error(`it gave no answer within ${limitMs / 1_000} s`)),
          );
    const { directory } = deps.artifacts;
    this.#live
      .call(method, argument, this.#call, directory)
      .then((value) => hear({ ok: true, value }), failed);
    return id;
  }

  /** Listens to a call no more. The instance may still be at it. */
  stop(id: string, because: string): void {
    this.#open.get(id)?.(because);
  }

  end(): void {
    this.#over = true;
    // A program need not wait for a limit that nobody hears of.
    for (const stop of this.#open.values()) stop("the run is no longer driven");
  }
}
