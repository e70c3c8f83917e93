/** A run that ended elsewhere, where nothing is told of its steps: the run's own end counts. */
import { expect, it } from "vitest";
import type { Snapshot } from "../../src/core/snapshot.ts";
import { EXECUTION_MODES } from "../../src/core/status.ts";
import type { FetchedStatus, SubmissionResult } from "../../src/orchestrators/submission.ts";
import type { FakeClass } from "../support/fake-pool.ts";
import { moduleStep } from "../support/run-bench.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { FLAVORS, MinimalOrchestrator, refTo, World } from "./world.ts";

/** Runs `a` and `b` with an orchestrator that says this of them, one answer after the other. */
async function told(answers: readonly FetchedStatus[], mode: Snapshot["executionMode"]) {
  const left = [...answers];
  class Elsewhere extends MinimalOrchestrator {
    override readonly capabilities = { supportedExecutionModes: EXECUTION_MODES };
    override submitPipeline(): Promise<SubmissionResult> {
      return Promise.resolve({ metadata: {}, waitForCompletion: () => Promise.resolve() });
    }
    override fetchStatus(): Promise<FetchedStatus> {
      return Promise.resolve(left.shift() ?? {});
    }
  }
  const flavor = { ...FLAVORS[0]!, name: "own", ref: refTo("own") };
  const classes = { "export:own": Elsewhere as unknown as FakeClass };
  const clock = new VirtualClock();
  const world = new World({ ...flavor, classes }, {}, { clock });
  const steps = [moduleStep("a"), moduleStep("b"), moduleStep("after", { needs: ["b"] })];
  const loop = await world.begin(steps, {}, { executionMode: mode });
  await clock.until(() => loop.state.finished !== undefined);
  return await world.end(loop);
}

it.each<[string, Snapshot["executionMode"], FetchedStatus, RegExp]>([
  ["no step's failure", "continue_on_failure", {}, /reported that the run failed/],
  ["a step's failure", "continue_on_failure", { steps: { a: "failed" } }, /^step "a" failed/],
  ["a step's failure", "stop_on_failure", { steps: { a: "failed" } }, /step "a" failed/],
])("a step that ran there does not hold up a run that failed with %s, under %s", async (...of) => {
  const [, mode, answer, because] = of;
  const running: FetchedStatus = { status: "running", steps: { a: "running", b: "running" } };
  const ended = await told([running, { status: "failed", ...answer }], mode);
  expect(ended.status).toBe("failed");
  expect(ended.because).toMatch(because);
  expect(ended.statuses()).toMatchObject({ b: "stopped", after: "skipped" });
  expect(ended.of("step.stopped", "b")).toHaveLength(1);
});

it.each([
  ["completed", "completed", "all steps ended well", "completed"],
  ["failed", "failed", /reported that the run failed/, "skipped"],
] as const)("where it %s, it is %s", async (there, status, because, step) => {
  class Elsewhere extends MinimalOrchestrator {
    override submitPipeline(): Promise<SubmissionResult> {
      return Promise.resolve({ metadata: {}, waitForCompletion: () => Promise.resolve() });
    }
    override fetchStatus(): Promise<FetchedStatus> {
      return Promise.resolve({ status: there });
    }
  }
  const flavor = { ...FLAVORS[0]!, name: "own", ref: refTo("own") };
  const classes = { "export:own": Elsewhere as unknown as FakeClass };
  const clock = new VirtualClock();
  const world = new World({ ...flavor, classes }, {}, { clock });
  const loop = await world.begin([moduleStep("a")]);
  await clock.until(() => loop.state.finished !== undefined);
  const ended = await world.end(loop);
  expect(ended.status).toBe(status);
  expect(ended.because).toMatch(because);
  expect(ended.statuses()).toEqual({ a: step });
});
