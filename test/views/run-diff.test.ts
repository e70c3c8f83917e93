/** What `orchd diff` names: the changes themselves; the rest only where nothing else changed. */
import { expect, it } from "vitest";
import type { RunEvent } from "../../src/core/event.ts";
import type { SnapshotStep } from "../../src/core/snapshot.ts";
import { diffRuns } from "../../src/views/run-diff.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";

interface Given {
  readonly step?: Partial<SnapshotStep>;
  readonly cacheKey?: string;
  readonly slot?: string;
}

function ran({ step, cacheKey, slot }: Given): GivenRun {
  const run = new GivenRun(snapshotOf([stepSpec("a", step)]));
  if (slot !== undefined)
    run.state = { ...run.state, trigger: { kind: "schedule", scheduledFor: slot } };
  const started: RunEvent = { type: "step.started", step: "a", attempt: 1, because: "ready" };
  return run
    .happen({ type: "run.started", because: "scheduled" })
    .happen(cacheKey === undefined ? started : { ...started, cacheKey })
    .complete("a");
}

const [MONDAY, TUESDAY] = ["2026-11-23T02:00:00.000Z", "2026-11-24T02:00:00.000Z"];

it.each<[string, Given, Given, string[]]>([
  ["nothing", { cacheKey: "1", slot: MONDAY }, { cacheKey: "1", slot: TUESDAY }, []],
  ["a slot", { cacheKey: "1", slot: MONDAY }, { cacheKey: "2", slot: TUESDAY }, ["another slot"]],
  [
    "a file",
    { cacheKey: "1", slot: MONDAY },
    { cacheKey: "2", slot: MONDAY },
    ["a file or cache function changed"],
  ],
  [
    "a param, and the slot with it",
    { cacheKey: "1", slot: MONDAY, step: { params: { x: 1 } } },
    { cacheKey: "2", slot: TUESDAY, step: { params: { x: 2 } } },
    ['param "x" changed'],
  ],
  [
    "the command and the outputs, and a file with them",
    { cacheKey: "1", slot: MONDAY, step: { run: "true" } },
    { cacheKey: "2", slot: MONDAY, step: { run: "false", outputs: ["x"] } },
    ["command changed", "declared outputs changed"],
  ],
  ["the slot of a step without a cache", { slot: MONDAY }, { slot: TUESDAY }, []],
  [
    "a variable that has another value",
    { step: { env: { A: "1", B: "1" } } },
    { step: { env: { A: "2", B: "1" } } },
    ['env "A" changed'],
  ],
  [
    "a variable and a param that are gone",
    { step: { env: { A: "1" }, params: { x: null } } },
    { step: {} },
    ['param "x" changed', 'env "A" changed'],
  ],
  [
    "an input that is new",
    {},
    { step: { inputs: { v: { step: "b" } } } },
    ['input "v" comes from elsewhere'],
  ],
  [
    "code in place of a command",
    { step: { run: "true" } },
    { step: { run: undefined, code: { bundle: "b", pick: "x", source: "s" } } },
    ["command changed"],
  ],
  [
    "another function of the same file",
    { step: { run: undefined, code: { bundle: "b", pick: "x", source: "s" } } },
    { step: { run: undefined, code: { bundle: "b", pick: "y", source: "s" } } },
    ["code changed"],
  ],
])("of a step: %s", (_, before, after, changes) => {
  const [step] = diffRuns(ran(before).state, ran(after).state).steps;
  expect(step!.changes).toEqual(changes);
});

it.each<[string, SnapshotStep["inputs"], SnapshotStep["inputs"], string[]]>([
  ["an output that is the same", { v: { step: "a", output: "x" } }, {}, []],
  ["an output that changed", { v: { step: "a", output: "y" } }, {}, ['input "v" changed']],
  ["all outputs", { v: { step: "a" } }, {}, ['input "v" changed']],
  [
    "another output than before",
    { v: { step: "a", output: "x" } },
    { v: { step: "a", output: "y" } },
    ['input "v" comes from elsewhere'],
  ],
])("of a step that takes %s", (_, inputs, later, changes) => {
  const taking = (own: SnapshotStep["inputs"], y: number): GivenRun =>
    new GivenRun(
      snapshotOf([stepSpec("a", { outputs: ["x", "y"] }), stepSpec("b", { inputs: own })]),
    )
      .happen({ type: "run.started", because: "scheduled" })
      .happen({ type: "step.started", step: "a", attempt: 1, because: "ready" })
      .happen({
        type: "step.completed",
        step: "a",
        attempt: 1,
        outputs: { x: 1, y },
        durationMs: 1,
      });
  const after = Object.keys(later).length === 0 ? inputs : later;
  const { steps } = diffRuns(taking(inputs, 1).state, taking(after, 2).state);
  expect(steps.find(({ step }) => step === "b")!.changes).toEqual(changes);
});

it("steps that are new or gone, what ran, and why the run before skipped one", () => {
  const run = (ids: readonly string[], ...events: RunEvent[]): GivenRun => {
    const made = new GivenRun(snapshotOf(ids.map((id) => stepSpec(id))));
    for (const event of [{ type: "run.started", because: "scheduled" } as const, ...events])
      made.happen(event);
    return made;
  };
  const before = run(["gone", "both"], { type: "step.skipped", step: "both", because: "no work" });
  const began: RunEvent = { type: "step.started", step: "both", attempt: 1, because: "ready" };
  const after = run(["both", "new"], began, { type: "step.skipped", step: "new", because: "x" });
  const told = (one: GivenRun, two: GivenRun): unknown[] =>
    diffRuns(one.state, two.state).steps.map(
      ({ step, before: was, after: is, ranAnew, changes, skippedBefore }) => [
        step,
        was,
        is,
        ranAnew,
        changes,
        skippedBefore,
      ],
    );
  expect(told(before, after)).toEqual([
    ["gone", expect.any(String), null, false, ["step is gone"], undefined],
    ["both", "skipped", "running", true, [], "no work"],
    ["new", null, "skipped", false, ["new step"], undefined],
  ]);
  // What the second run skipped is not why the first one did.
  expect(told(after, before)[0]).toEqual(["both", "running", "skipped", false, [], undefined]);
});
