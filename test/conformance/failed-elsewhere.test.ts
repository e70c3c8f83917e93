/** A run that ended elsewhere, where nothing is told of its steps: the run's own end counts. */
import { expect, it } from "vitest";
import type { FetchedStatus, SubmissionResult } from "../../src/orchestrators/submission.ts";
import type { FakeClass } from "../support/fake-pool.ts";
import { moduleStep } from "../support/run-bench.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { FLAVORS, MinimalOrchestrator, refTo, World } from "./world.ts";

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
