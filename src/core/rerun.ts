import { didYouMean } from "./did-you-mean.ts";
import { endedWell, upstreamOf, type RunState } from "./run-state.ts";
import type { Snapshot } from "./snapshot.ts";

/**
 * What a re-run reuses, as step -> the run whose outputs stand in for it; or why there can be no
 * re-run.
 */
export type RerunPlan =
  | { readonly ok: true; readonly reuse: Record<string, string> }
  | { readonly ok: false; readonly reason: string };

/**
 * Which steps of a run need not run again, provided that they are still the same (their cache key
 * tells, when their turn comes). Under `failed`: the steps that ended well. With `from`: the steps
 * that ended well and do not come after that step; that step and all others run again. Without
 * either, the cache decides as in any run.
 *
 * @param snapshot what the re-run will run: the frozen snapshot, or the edited one
 */
export function planRerun(
  state: RunState,
  snapshot: Snapshot,
  request: { readonly failed?: boolean | undefined; readonly from?: string | undefined },
): RerunPlan {
  const { failed = false, from } = request;
  if (failed && from !== undefined)
    return { ok: false, reason: "a re-run takes --failed or --from, not both" };
  if (!failed && from === undefined) return { ok: true, reuse: {} };
  const dynamic = snapshot.dynamic !== undefined;
  const again =
    from === undefined
      ? new Set<string>()
      : dynamic
        ? startedSince(state, from)
        : downstreamOf(snapshot, from);
  if (from !== undefined && again.size === 0) {
    const known = dynamic ? [...state.steps.keys()] : snapshot.steps.map(({ id }) => id);
    return {
      ok: false,
      reason: `run ${state.run} has no step ${JSON.stringify(from)}${didYouMean(from, known)}`,
    };
  }
  const there = new Set(snapshot.steps.map(({ id }) => id));
  const reuse: Record<string, string> = {};
  for (const [id, step] of state.steps)
    if (endedWell(step) && !again.has(id) && (dynamic || there.has(id))) reuse[id] = state.run;
  return { ok: true, reuse };
}

/** A step, and all steps that come after it. */
function downstreamOf(snapshot: Snapshot, from: string): Set<string> {
  const again = new Set<string>();
  // Each step stands after all steps that it needs.
  for (const step of snapshot.steps)
    if (step.id === from || [...upstreamOf(step)].some((id) => again.has(id))) again.add(step.id);
  return again.has(from) ? again : new Set();
}

/**
 * A dynamic pipeline's invocations from this one on, in the order in which the function asked for
 * them.
 */
function startedSince(state: RunState, from: string): Set<string> {
  const ids = [...state.steps.keys()];
  const start = ids.indexOf(from);
  return new Set(start === -1 ? [] : ids.slice(start));
}
