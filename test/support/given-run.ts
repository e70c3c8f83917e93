/** A run without a disk: events are framed and folded at once, as the run-loop does. */
import type { RunEvent, RunLine } from "../../src/core/event.ts";
import { plan, type Action, type PlanFacts } from "../../src/core/plan.ts";
import { evolve } from "../../src/core/run-fold.ts";
import type { RunState } from "../../src/core/run-state.ts";
import type { Snapshot, SnapshotStep } from "../../src/core/snapshot.ts";
import { PLAIN_SNAPSHOT, PLAIN_STEP } from "./plain-step.ts";

/** A step that does nothing. @param more `needs` names the steps that come before it */
export function stepSpec(
  id: string,
  more: Partial<SnapshotStep> & { needs?: readonly string[] } = {},
): SnapshotStep {
  const { needs, ...rest } = more;
  return {
    id,
    run: "true",
    ...PLAIN_STEP,
    after: needs ?? [],
    ...rest,
  };
}

/** A snapshot of these steps. */
export function snapshotOf(steps: readonly SnapshotStep[], more: Partial<Snapshot> = {}): Snapshot {
  return {
    ...PLAIN_SNAPSHOT,
    name: "p",
    file: "/nowhere/p.yaml",
    steps,
    ...more,
  };
}

/** Plays the part of a run-loop for one run. */
export class GivenRun {
  state: RunState;
  readonly lines: RunLine[] = [];
  now = Date.UTC(2026, 10, 23, 2);
  facts: Partial<PlanFacts> = {};

  constructor(snapshot: Snapshot, params: RunState["params"] = {}) {
    this.state = undefined as unknown as RunState;
    this.happen({
      type: "run.submitted",
      format: 1,
      run: "p@20261123T020000Z",
      pipeline: "p",
      orchestratorRunId: "o",
      trigger: { kind: "manual" },
      params,
      snapshot,
      tags: [],
    });
  }

  /** Appends and folds these events. */
  happen(...events: readonly RunEvent[]): this {
    const b = this.lines.length + 1;
    for (const event of events) {
      const line = {
        ...event,
        seq: this.lines.length + 1,
        b,
        at: new Date(this.now).toISOString(),
      } as RunLine;
      this.lines.push(line);
      this.state = evolve(this.state, line)!;
    }
    return this;
  }

  /** What the planner says now. */
  plan(facts: Partial<PlanFacts> = {}): Action[] {
    return plan(this.state, {
      now: this.now,
      capacity: { module: 64, shell: 64 },
      draining: false,
      launching: new Set(),
      stopping: new Map(),
      hooks: new Set(),
      functionRunning: false,
      ...this.facts,
      ...facts,
    });
  }

  /** The ids of the steps that the planner launches now. */
  launches(facts: Partial<PlanFacts> = {}): string[] {
    return this.plan(facts).flatMap((action) => (action.kind === "launch" ? [action.step] : []));
  }

  start(step: string): this {
    const action = this.plan().find(
      (candidate) => candidate.kind === "launch" && candidate.step === step,
    );
    if (action?.kind !== "launch") throw new Error(`the planner does not launch "${step}" now`);
    return this.happen({
      type: "step.started",
      step,
      attempt: action.attempt,
      because: action.because,
    });
  }

  complete(step: string): this {
    return this.happen({
      type: "step.completed",
      step,
      attempt: this.state.steps.get(step)!.attempt,
      outputs: { result: null },
      durationMs: 1,
    });
  }

  fail(step: string): this {
    return this.happen({
      type: "step.failed",
      step,
      attempt: this.state.steps.get(step)!.attempt,
      error: { name: "Error", message: "no" },
    });
  }

  /** Carries out skips, ends of delayed steps and the finish, until the planner has no more. */
  settle(): this {
    for (let round = 0; round < 1_000; round += 1) {
      const events = this.plan().flatMap((action): RunEvent[] => {
        if (action.kind === "skip")
          return [{ type: "step.skipped", step: action.step, because: action.because }];
        if (action.kind === "endDelayed")
          return [{ type: "step.stopped", step: action.step, because: action.because }];
        if (action.kind === "finish")
          return [
            { type: "run.finished", status: action.status, because: action.because, durationMs: 1 },
          ];
        return [];
      });
      if (events.length === 0) return this;
      this.happen(...events);
    }
    throw new Error("the planner never comes to rest");
  }

  statuses(): Record<string, string> {
    return Object.fromEntries([...this.state.steps].map(([id, step]) => [id, step.status]));
  }
}
