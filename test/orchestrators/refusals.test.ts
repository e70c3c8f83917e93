/** Why an orchestrator refuses a pipeline, to the letter, and for which key of it. */
import { expect, it } from "vitest";
import type { Snapshot } from "../../src/core/snapshot.ts";
import { refusalOf, type Flavor } from "../../src/orchestrators/flavors.ts";

const ALL = ["fail_fast", "stop_on_failure", "continue_on_failure"];

const refusal = (capabilities: object, snapshot: object = {}, scheduled = false) =>
  refusalOf(
    {
      name: "mine",
      capabilities: {
        supportedExecutionModes: ALL,
        isSchedulable: true,
        supportsDynamicPipelines: true,
        ...capabilities,
      },
    } as unknown as Flavor,
    { executionMode: "fail_fast", steps: [], ...snapshot } as unknown as Snapshot,
    scheduled,
  );

it("an execution mode that it does not have", () => {
  expect(refusal({ supportedExecutionModes: ALL.slice(1) })).toEqual({
    path: ["executionMode"],
    message:
      "is refused: the orchestrator mine does not support the execution mode fail_fast; " +
      "it supports stop_on_failure, continue_on_failure",
  });
  expect(refusal({ supportedExecutionModes: [] })?.message).toMatch(/fail_fast; it supports none$/);
});

it("a schedule, where it can have none", () => {
  expect(refusal({ isSchedulable: false }, {}, true)).toEqual({
    path: ["schedule"],
    message:
      "is refused: the orchestrator mine cannot be scheduled; let it declare " +
      "isSchedulable, or remove the schedule and run the pipeline by hand",
  });
  expect(refusal({ isSchedulable: false })).toBeUndefined();
});

it("a dynamic pipeline, where it takes none", () => {
  expect(refusal({ supportsDynamicPipelines: false }, { dynamic: {} })).toEqual({
    path: ["orchestrator"],
    message:
      "is refused: mine does not support dynamic pipelines, and this is one; " +
      "use the orchestrator local",
  });
  expect(refusal({ supportsDynamicPipelines: false })).toBeUndefined();
});

it("nothing that it can take, and no step that is not isolated", () => {
  expect(refusal({}, { dynamic: {} }, true)).toBeUndefined();
  expect(refusal({}, { steps: [{ id: "a", isolated: false }] })).toBeUndefined();
});
