/** The steps of one run beside played parts: a {@link PlayedRun}, and the cache's index. */
import type { SnapshotStep } from "../../src/core/snapshot.ts";
import type { Task, TaskResult } from "../../src/core/task.ts";
import type { Flavor } from "../../src/orchestrators/flavors.ts";
import type { DeathInfo, TaskHandlers } from "../../src/places/place.ts";
import type { ResultCache } from "../../src/run/result-cache.ts";
import type { Preparation } from "../../src/run/step-preparation.ts";
import { StepRuns, type RetriedBy } from "../../src/run/step-runs.ts";
import { snapshotOf } from "./given-run.ts";
import { PlayedRun } from "./played-run.ts";

/** A step that starts. */
export const STARTS: Preparation = { kind: "start", task: { kind: "module" } as unknown as Task };

/** Plays all that the steps of a run touch. */
export class PlayedSteps extends PlayedRun {
  readonly steps: StepRuns;
  /** What each step is prepared as. Default: {@link STARTS}. */
  readonly preparations = new Map<string, Preparation | Promise<Preparation>>();
  retriedBy: RetriedBy = "orchd";
  /** What the cache's index throws. */
  noIndex: Error | undefined;

  constructor(steps: readonly SnapshotStep[]) {
    super(snapshotOf(steps));
    const flavor = { capabilities: { enableCache: true } } as unknown as Flavor;
    const record: ResultCache["record"] = (completed) => {
      if (this.noIndex !== undefined) throw this.noIndex;
      this.say("record", ...completed.map(([key, { step }]) => `${step}=${key}`));
    };
    const results = { record } as unknown as ResultCache;
    this.steps = new StepRuns(this.parts, flavor, results, () => this.retriedBy);
    this.steps.prepare = (id) => {
      this.say("prepare", id);
      return this.preparations.get(id) ?? STARTS;
    };
  }

  protected override turnOver(): void {
    this.steps.endTurn();
  }

  /** Starts a step's next attempt. @returns all that was said */
  launch(step: string, more: { alone?: boolean; share?: number; attempt?: number } = {}): string[] {
    const action = { kind: "launch", attempt: 1, alone: false, because: "ready", ...more } as const;
    return this.turn(() => this.say(this.steps.launch({ ...action, step })));
  }

  /** A step that runs, with its handlers. */
  begin(step: string, more: Parameters<PlayedSteps["launch"]>[1] = {}): TaskHandlers {
    this.launch(step, more);
    return this.#handlersOf(step);
  }

  /** A step that is started ends like this. @returns all that was said */
  ends(step: string, result: TaskResult): string[] {
    return this.turn(() => this.#handlersOf(step).done(result, 1.23456, 0));
  }

  /** A step that is started dies with its runner. @returns all that was said */
  dies(step: string, info: Partial<DeathInfo> = {}): string[] {
    const death = { inFlight: ["x", "y"], alone: false, because: "it was killed", code: "C" };
    return this.turn(() => this.#handlersOf(step).died({ ...death, ...info }));
  }

  #handlersOf(step: string): TaskHandlers {
    return this.handlers.get(`r#${this.state.steps.get(step)!.token}`)!;
  }
}
