/** The words and the colour of the ledger lines that `orchd tail` and `run --wait` print. */
import { describe, expect, it } from "vitest";
import { eventText } from "../../src/cli/event-text.ts";

type Line = Readonly<Record<string, unknown>>;
const SLOT = "2026-11-23T02:00:00.000Z";

describe("a line in words", () => {
  it.each<[Line, string]>([
    [{ type: "run.started", because: "scheduled" }, "run.started: scheduled"],
    [{ type: "run.started" }, "run.started"],
    [{ type: "step.started", step: "a", attempt: 1, because: "x" }, "step.started a: x"],
    [{ type: "step.started", step: "a", attempt: 2 }, "step.started a attempt 2"],
    [{ type: "step.completed", step: "a", durationMs: 0 }, "step.completed a in 0s"],
    [{ type: "step.completed", step: "a", durationMs: 1_500 }, "step.completed a in 1.5s"],
    [
      { type: "step.failed", step: "a", attempt: 2, error: { name: "E", message: "no" } },
      "step.failed a attempt 2 E: no",
    ],
    [
      { type: "step.failed", step: "a", error: { name: "E", message: "no" }, retryAt: SLOT },
      `step.failed a E: no again at ${SLOT}`,
    ],
    [
      {
        type: "step.failed",
        step: "a",
        error: { name: "E", message: "it did not start within 4s: nobody is there" },
        because: "it did not start within 4s",
      },
      "step.failed a E: it did not start within 4s: nobody is there",
    ],
    [
      { type: "step.placed", step: "a", attempt: 1, place: "farm", host: "w1", ref: "x" },
      "step.placed a on farm at w1",
    ],
    [
      { type: "run.waits", on: ["arm", "gpu"], because: "nobody is there" },
      "run.waits for arm, gpu: nobody is there",
    ],
    [
      { type: "hook.failed", hook: "onFailure", step: "a", error: { name: "E", message: "no" } },
      "hook.failed onFailure a E: no",
    ],
    [
      { type: "slot.missed", slot: SLOT, until: "2026-11-24", because: "it was down" },
      `slot.missed ${SLOT} to 2026-11-24: it was down`,
    ],
    [
      { type: "run.finished", status: "failed", durationMs: 61_000, because: "a failed" },
      "run.finished failed in 1m 1s: a failed",
    ],
    [
      { type: "run.stop_requested", mode: "force", because: "asked" },
      "run.stop_requested force: asked",
    ],
    [{ type: "pipeline.invalid", errors: ["one", "two"] }, "pipeline.invalid one; two"],
    [
      { type: "pipeline.loaded", digest: "0123456789abcdef", because: "x" },
      "pipeline.loaded 0123456789ab: x",
    ],
    [{ type: "pipeline.checkpoint", digest: "0123456789abcdef" }, "pipeline.checkpoint"],
    [{ type: "clock.stepped", from: "a", to: "b" }, "clock.stepped a to b"],
    [{ type: "clock.stepped", from: "a" }, "clock.stepped"],
    [{ type: "some.day", status: "new", step: 7 }, "some.day new"],
    [{}, "undefined"],
  ])("%j", (line, words) => {
    expect(eventText(line).text).toBe(words);
  });

  it("names the run only where the line is of a pipeline's ledger", () => {
    const line = { type: "slot.fired", run: "p@1", slot: SLOT, because: "due" };
    expect(eventText(line).text).toBe(`slot.fired ${SLOT}: due`);
    expect(eventText(line, true).text).toBe(`slot.fired p@1 ${SLOT}: due`);
  });
});

it.each<[string, string | undefined]>([
  ["step.completed", "green"],
  ["step.cached", "green"],
  ["step.failed", "red"],
  ["step.stopped", "yellow"],
  ["step.skipped", "dim"],
  ["step.interrupted", "yellow"],
  ["step.started", undefined],
  ["hook.failed", "red"],
  ["hook.completed", undefined],
  ["pipeline.invalid", "red"],
  ["pipeline.paused", "yellow"],
  ["pipeline.checkpoint", "dim"],
  ["slot.fired", undefined],
  ["slot.skipped", "yellow"],
  ["slot.missed", "yellow"],
  ["slot.late", "yellow"],
  ["run.overdue", "yellow"],
  ["run.stop_requested", "yellow"],
  ["clock.stepped", "yellow"],
  ["ledger.disturbed", "red"],
])("%s is %s", (type, style) => {
  expect(eventText({ type }).style).toBe(style);
});

it.each([
  ["completed", "green"],
  ["cached", "green"],
  ["failed", "red"],
  ["stopped", "yellow"],
])("a run that ended %s is %s", (status, style) => {
  expect(eventText({ type: "run.finished", status }).style).toBe(style);
  // The status alone does not colour another line.
  expect(eventText({ type: "run.queued", status }).style).toBeUndefined();
});
