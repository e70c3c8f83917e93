/**
 * The orchestrators that the conformance suite runs against, and a world to run pipelines in with
 * one of them.
 *
 * To run the suite against another flavor, add it to {@link FLAVORS}. The suite checks that a
 * flavor refuses what it does not declare.
 */
import { expect } from "vitest";
import type { RunHeader } from "../../src/core/event.ts";
import type { Capabilities } from "../../src/orchestrators/capabilities.ts";
import { BaseOrchestrator } from "../../src/orchestrators/base-orchestrator.ts";
import { LocalOrchestrator } from "../../src/orchestrators/local-orchestrator.ts";
import type { PipelineSubmission, SubmissionResult } from "../../src/orchestrators/submission.ts";
import type { RunLoop } from "../../src/run/run-loop.ts";
import type { OrchestratorRef, Snapshot, SnapshotStep } from "../../src/core/snapshot.ts";
import type { FakeClass, FakeFunction } from "../support/fake-pool.ts";
import { snapshotOf } from "../support/given-run.ts";
import MaximalOrchestrator from "../support/maximal-orchestrator.ts";
import { RunBench, type Ended, type RunBenchOptions } from "../support/run-bench.ts";

/** The smallest possible orchestrator: it has the two methods that each one must have. */
export class MinimalOrchestrator extends BaseOrchestrator {
  static flavor = "minimal";
  #run = "";

  getOrchestratorRunId(): string {
    return this.#run;
  }

  async submitPipeline({
    snapshot,
    placeholderRun,
  }: PipelineSubmission): Promise<SubmissionResult> {
    this.#run = `minimal-${placeholderRun.id}`;
    submissions.push({
      run: placeholderRun.id,
      steps: snapshot.steps.map(({ id }) => id),
      status: placeholderRun.status,
    });
    const steps = Promise.allSettled(snapshot.steps.map((step) => this.runStep(step)));
    return {
      metadata: { steps: snapshot.steps.length },
      waitForCompletion: () => steps.then(() => undefined),
    };
  }
}

/** Overrides all that can be overridden; test/conformance/maximal.test.ts looks at each. */
class Maximal extends MaximalOrchestrator {
  override submitPipeline(submission: PipelineSubmission): Promise<SubmissionResult> {
    const { snapshot, placeholderRun } = submission;
    submissions.push({
      run: placeholderRun.id,
      steps: snapshot.steps.map(({ id }) => id),
      status: placeholderRun.status,
    });
    return super.submitPipeline(submission);
  }
}

/** What {@link MinimalOrchestrator} and the maximal one were given, newest last. */
export const submissions: { run: string; steps: string[]; status: string }[] = [];

/** A flavor under test. */
export interface FlavorUnderTest {
  readonly name: string;
  readonly ref: OrchestratorRef;
  readonly capabilities: Capabilities;
  readonly classes: { readonly [name: string]: FakeClass };
}

/** The name of a class in a snapshot. */
export function refTo(name: string, config: OrchestratorRef["config"] = {}): OrchestratorRef {
  return {
    flavor: name,
    code: { bundle: name.padEnd(64, "0"), pick: `export:${name}`, source: `./${name}.ts` },
    config,
  };
}

/** The flavors that the suite runs against. */
export const FLAVORS: readonly FlavorUnderTest[] = [
  {
    name: "local",
    ref: { flavor: "local", config: {} },
    capabilities: new LocalOrchestrator().describe().capabilities,
    classes: {},
  },
  {
    name: "minimal",
    ref: refTo("minimal"),
    capabilities: new MinimalOrchestrator().describe().capabilities,
    classes: { "export:minimal": MinimalOrchestrator },
  },
  {
    name: "maximal",
    ref: refTo("maximal"),
    capabilities: new Maximal().describe().capabilities,
    classes: { "export:maximal": Maximal },
  },
];

/** Runs pipelines with one flavor. */
export class World extends RunBench {
  readonly flavor: FlavorUnderTest;

  constructor(
    flavor: FlavorUnderTest,
    functions: { [name: string]: FakeFunction | FakeClass } = {},
    options: Omit<RunBenchOptions, "functions"> = {},
  ) {
    super({ ...options, functions: { ...functions, ...flavor.classes } });
    this.flavor = flavor;
  }

  snapshot(steps: readonly SnapshotStep[], more: Partial<Snapshot> = {}): Snapshot {
    return snapshotOf(steps, { orchestrator: this.flavor.ref, ...more });
  }

  override begin(
    steps: readonly SnapshotStep[] | Snapshot,
    more: Partial<RunHeader> = {},
    snapshot: Partial<Snapshot> = {},
  ): Promise<RunLoop> {
    return super.begin("length" in steps ? this.snapshot(steps, snapshot) : steps, more);
  }

  override run(
    steps: readonly SnapshotStep[] | Snapshot,
    more: Partial<RunHeader> = {},
    snapshot: Partial<Snapshot> = {},
  ): Promise<Ended> {
    return super.run("length" in steps ? this.snapshot(steps, snapshot) : steps, more);
  }

  /** The steps whose code ran since the last call of this, in order. */
  ran(): string[] {
    const all = this.pool.started.flatMap(({ task }) =>
      (task.kind === "module" || task.kind === "shell") && task.step !== undefined
        ? [task.step]
        : [],
    );
    const since = all.slice(this.#seen);
    this.#seen = all.length;
    return since;
  }
  #seen = 0;

  /**
   * Runs a pipeline that needs a capability, or checks that the flavor refuses it.
   *
   * @returns undefined after a refusal
   */
  async runIf(
    able: boolean,
    refusal: RegExp,
    steps: readonly SnapshotStep[] | Snapshot,
    more: Partial<RunHeader> = {},
    snapshot: Partial<Snapshot> = {},
  ): Promise<Ended | undefined> {
    if (able) return this.run(steps, more, snapshot);
    await expect(this.begin(steps, more, snapshot)).rejects.toThrow(refusal);
    // It is refused before anything is written.
    expect(this.store.pipelines()).toEqual([]);
    return undefined;
  }

  can(mode: Snapshot["executionMode"]): boolean {
    return this.flavor.capabilities.supportedExecutionModes.includes(mode);
  }
}
