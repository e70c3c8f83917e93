/** What a re-run takes over: by name, what ended well and does not follow what runs again. */
import { expect, it } from "vitest";
import type { RunEvent } from "../../src/core/event.ts";
import { planRerun } from "../../src/core/rerun.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";

const STARTED: RunEvent = { type: "run.started", because: "scheduled" };
const STEPS = [
  stepSpec("a"),
  stepSpec("b", { needs: ["a"] }),
  stepSpec("c", { needs: ["b"] }),
  stepSpec("side"),
];

function reused(run: GivenRun, request: { failed?: boolean; from?: string }): unknown {
  const planned = planRerun(run.state, run.state.snapshot, request);
  return planned.ok ? Object.keys(planned.reuse) : planned.reason;
}

it.each([
  [{}, []],
  [{ failed: true }, ["a", "side"]],
  [{ from: "a" }, ["side"]],
  [{ from: "b" }, ["a", "side"]],
  [{ from: "side" }, ["a"]],
])("of a run whose b failed, %j takes over %j", (request, taken) => {
  const run = new GivenRun(snapshotOf(STEPS)).happen(STARTED);
  run.start("a").complete("a").start("side").complete("side").start("b").fail("b").settle();
  expect(reused(run, request)).toEqual(taken);
});

it.each([
  [{ failed: true }, ["one", "two"]],
  [{ from: "one" }, []],
  [{ from: "two" }, ["one"]],
  [{ from: "three" }, ["one", "two"]],
])("of a function's run, %j takes over what was called before: %j", (request, taken) => {
  const dynamic = { bundle: "x", pick: "function", source: "p.ts" };
  const run = new GivenRun(snapshotOf([], { dynamic })).happen(STARTED);
  for (const id of ["one", "two", "three"]) {
    run.happen({ type: "step.added", step: id, spec: stepSpec(id) }).start(id);
    if (id === "three") run.fail(id);
    else run.complete(id);
  }
  expect(reused(run, request)).toEqual(taken);
});

it("names the step that is not there, and takes one of two ways", () => {
  const run = new GivenRun(snapshotOf(STEPS)).happen(STARTED);
  expect(reused(run, { from: "sied" })).toMatch(/has no step "sied".*side/);
  expect(reused(run, { from: "a", failed: true })).toMatch(/not both/);
});
