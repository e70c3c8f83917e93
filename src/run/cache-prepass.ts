/**
 * The cache before the orchestrator (ZenML's client-side caching). Steps whose upstream steps are
 * all cached are answered before anything starts. So a run with nothing left to do costs neither a
 * submission nor an init hook.
 *
 * Scheduled runs do not have it, nor do dynamic ones: their steps are not known before
 * (docs/zenml.md). `ORCHD_PREVENT_CLIENT_SIDE_CACHING` turns it off.
 */
import type { Flavor } from "../orchestrators/flavors.ts";
import type { RunParts } from "./run-parts.ts";
import type { Preparation } from "./step-preparation.ts";
import type { StepRuns } from "./step-runs.ts";

/** Answers a run's steps from the cache before the run's orchestrator is called. */
export class CachePrepass {
  readonly #parts: RunParts;
  readonly #steps: StepRuns;
  readonly #flavor: Flavor;
  /** The preparations of steps that took a while. */
  readonly #known = new Map<string, Preparation>();

  constructor(parts: RunParts, steps: StepRuns, flavor: Flavor) {
    this.#parts = parts;
    this.#steps = steps;
    this.#flavor = flavor;
  }

  /** Whether the run may have one. */
  get isAllowed(): boolean {
    const { state, deps } = this.#parts;
    const { trigger, snapshot } = state;
    const own = deps.environment ?? process.env;
    const prevented = (value: unknown): boolean =>
      typeof value === "string" && value !== "" && value !== "0" && value.toLowerCase() !== "false";
    if (
      prevented(own["ORCHD_PREVENT_CLIENT_SIDE_CACHING"]) ||
      prevented(snapshot.env["ORCHD_PREVENT_CLIENT_SIDE_CACHING"])
    )
      return false;
    return (
      this.#flavor.capabilities.supportsClientSideCaching &&
      snapshot.dynamic === undefined &&
      (trigger.kind === "manual" || trigger.kind === "rerun")
    );
  }

  /**
   * Answers as many steps as it can.
   *
   * @param proceed called in a turn: when no more can be answered, or when the run is over. Not if
   *   the daemon is about to end
   */
  run(proceed: () => void): void {
    const { state, arrive, draining } = this.#parts;
    // The next daemon goes on with the run.
    if (draining()) return;
    if (state.stop !== undefined || state.finished !== undefined) return proceed();
    const slow = this.answer();
    if (slow.length > 0) void Promise.all(slow).then(() => arrive(() => this.run(proceed)));
    else proceed();
  }

  /** Answers the steps that are prepared at once. @returns the preparations that take a while */
  answer(): Promise<unknown>[] {
    const tried = new Set<string>();
    const slow: Promise<unknown>[] = [];
    for (let found = true; found;) {
      found = false;
      for (const id of this.#parts.state.ready) {
        if (tried.has(id)) continue;
        tried.add(id);
        const preparation = this.#known.get(id) ?? this.#steps.prepare(id, 1);
        if (preparation instanceof Promise)
          slow.push(preparation.then((prepared) => this.#known.set(id, prepared)));
        else if (preparation.kind === "cached") {
          this.#steps.answer(id, preparation);
          found = true;
        }
      }
    }
    return slow;
  }
}
