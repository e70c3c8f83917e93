/** The attempts of a run's steps, by its lines. */
import { expect, it } from "vitest";
import type { RunLine } from "../../src/core/event.ts";
import { StepTimelines } from "../../src/views/step-timelines.ts";

function attemptsOf(...lines: readonly object[]): readonly object[] {
  const timelines = new StepTimelines();
  for (const [nth, line] of lines.entries())
    timelines.take({ step: "a", at: `t${nth}`, ...line } as unknown as RunLine);
  return timelines.of("a");
}
const started = (attempt: number): object => ({ type: "step.started", attempt, because: "due" });
const first = { attempt: 1, startedAt: "t0", because: "due" };

it("knows none of a step that has not begun", () => {
  expect(attemptsOf()).toEqual([]);
  expect(attemptsOf({ type: "step.failed", error: { message: "x" } })).toEqual([]);
});

it.each([
  [{ type: "step.completed" }, "completed", null],
  [{ type: "step.failed", error: { message: "x" } }, "failed", "x"],
  [{ type: "step.failed", error: { message: "x" }, retryAt: "t9" }, "retried", "x"],
  [{ type: "step.interrupted", because: "it died" }, "interrupted", "it died"],
  [{ type: "step.stopped", because: "enough" }, "stopped", "enough"],
])("%j ends the attempt as %s, because of %s", (line, status, endedBecause) => {
  expect(attemptsOf(started(1), line)).toEqual([{ ...first, endedAt: "t1", status, endedBecause }]);
});

it("an end counts once, and for its own attempt", () => {
  const runs = { ...first, endedAt: null, status: "running", endedBecause: null };
  expect(attemptsOf(started(1))).toEqual([runs]);
  const failed = { type: "step.failed", error: { message: "x" }, retryAt: "t9" };
  const attempts = attemptsOf(started(1), failed, { type: "step.completed" }, started(2));
  expect(attempts).toEqual([
    { ...first, endedAt: "t1", status: "retried", endedBecause: "x" },
    { ...runs, attempt: 2, startedAt: "t3" },
  ]);
});

it("a place is that of the attempt that goes on, and never of one that has ended", () => {
  const placed = { type: "step.placed", place: "farm", host: "w1", ref: "r" };
  const at = { place: "farm", host: "w1", ref: "r" };
  expect(attemptsOf(started(1), placed)).toMatchObject([{ placed: at }]);
  const [ended] = attemptsOf(started(1), { type: "step.completed" }, placed);
  expect(ended).not.toHaveProperty("placed");
  const [before, now] = attemptsOf(
    started(1),
    { type: "step.interrupted", because: "it died" },
    started(2),
    placed,
  );
  expect(before).not.toHaveProperty("placed");
  expect(now).toMatchObject({ placed: at });
});
