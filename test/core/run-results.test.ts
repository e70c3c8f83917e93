/** What a pipeline's ledger says of a run's end: its trigger, its steps, and their retries. */
import { expect, it } from "vitest";
import { NO_RETRY } from "../../src/core/retry.ts";
import { runResults } from "../../src/core/run-results.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";

const STEPS = ["a", "b", "c", "d"].map((id) =>
  stepSpec(id, { retry: { ...NO_RETRY, maxRetries: 3 } }),
);
const begun = (): GivenRun =>
  new GivenRun(snapshotOf(STEPS)).happen({ type: "run.started", because: "due" });
const again = (run: GivenRun, step: string, times: number): GivenRun => {
  for (let attempt = 1; attempt <= times; attempt += 1)
    run.start(step).happen({
      type: "step.failed",
      step,
      attempt,
      error: { name: "Error", message: "no" },
      retryAt: new Date(run.now).toISOString(),
    });
  return run.start(step);
};

it("counts the steps that ended, by how, and the attempts after a failed one", () => {
  const run = begun().start("a").complete("a").start("b").complete("b").start("c").fail("c");
  expect(runResults(run.state)).toEqual({
    trigger: "manual",
    steps: { completed: 2, failed: 1 },
  });
  expect(runResults(again(again(begun(), "a", 1), "b", 2).complete("b").state)).toEqual({
    trigger: "manual",
    steps: { completed: 1 },
    retries: 3,
  });
});
