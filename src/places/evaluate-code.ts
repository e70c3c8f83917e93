import { thrownFrom } from "../core/failure.ts";
import type { LoadedDefinition } from "../core/loaded-definition.ts";
import type { CodeRef } from "../core/snapshot.ts";
import type { Place } from "./place.ts";
import { awaitTask } from "./run-task.ts";

/** How long a pipeline file written in code may take to be evaluated, in milliseconds. */
const LIMIT_MS = 30_000;
const SUPERSEDED = "the file is loaded again";

/**
 * Evaluates a pipeline file written in code, in a place: the daemon and the command line never run
 * it themselves.
 *
 * @param id the task's id
 * @param signal ends it: nobody waits for what it says any more
 * @returns what the file exports by default, described
 * @throws what the code threw, or why its runner died
 */
export async function evaluateCode(
  place: Place,
  id: string,
  code: CodeRef,
  signal?: AbortSignal,
): Promise<LoadedDefinition> {
  if (signal?.aborted === true) throw new Error(SUPERSEDED);
  const stop = (): void => place.stop(id, "force", SUPERSEDED);
  signal?.addEventListener("abort", stop);
  const end = await awaitTask(place, {
    id,
    task: {
      kind: "load",
      code,
      run: { id, pipeline: "-", attempt: 1 },
      env: {},
      timeoutMs: LIMIT_MS,
      gracePeriodMs: 1_000,
    },
    // What a file prints as it is loaded is nobody's result.
    output: () => undefined,
  }).finally(() => signal?.removeEventListener("abort", stop));
  if (end.kind !== "result") throw new Error(`${end.death.because} while the file was evaluated`);
  if (end.result.ok) return end.result.value as unknown as LoadedDefinition;
  throw thrownFrom(end.result.error);
}
