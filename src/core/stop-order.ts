/** An order to stop a run, and the answer. */
import type { RunState } from "./run-state.ts";

/** What a stop asks of one run (docs/semantics.md 10). */
export interface StopOrder {
  /** Graceful: nothing new starts. Force: running steps are ended too. */
  readonly mode: "graceful" | "force";
  /** Who asks. */
  readonly by: string;
  /** The request that asked for it. */
  readonly requestId?: string | undefined;
  /** Why, if there is more to say than that somebody asked. */
  readonly because?: string | undefined;
}

/** Whether the run accepts the stop. If it does, the stop is durable. */
export type StopAnswer =
  | { readonly accepted: true }
  | { readonly accepted: false; readonly reason: string };

/**
 * Why a run does not accept a stop; undefined if it does. A graceful stop may become one by force,
 * and one by force that the orchestrator could not carry out may be asked for again. A run that has
 * not started, because it waits for its turn or was never submitted, can always be stopped: its
 * orchestrator does not know it.
 *
 * @param unable the name of the run's orchestrator, where that cannot stop the run
 */
export function stopRefusal(
  { run, finished, stop, phase }: RunState,
  { mode }: StopOrder,
  unable: string | undefined,
): string | undefined {
  if (finished !== undefined) return `Run ${run} has ended already: ${finished.status}.`;
  if (unable !== undefined && phase === "started")
    return `The orchestrator ${unable} cannot stop a run.`;
  if (stop === undefined || (mode === "force" && stop.mode === "graceful")) return undefined;
  if (mode === "force" && stop.failed !== undefined) return undefined;
  const more = stop.mode === "force" ? "" : "; --force ends it at once";
  return `Run ${run} is being stopped already${more}.`;
}
