/** What a runner knows of each kind of task before it reads it, and the name of its output. */
import { expect, it } from "vitest";
import type { TaskFrame } from "../../src/core/task-frame.ts";
import type { Task } from "../../src/core/task.ts";
import { headOf, headOfFrame, logName } from "../../src/places/pool/protocol.ts";

const code = { bundle: "b", pick: "x", source: "./s.ts" };
const run = { id: "p@1", pipeline: "p", attempt: 3 };
const all = { run, code, gracePeriodMs: 9, isolated: true, timeoutMs: 7, memoryMb: 64 };
const head = { run: "p@1", pipeline: "p", attempt: 3, gracePeriodMs: 9 };
const module = { ...head, bundle: "b", source: "./s.ts" };

it.each<[Task["kind"], object, object]>([
  ["module", { step: "s" }, { ...module, step: "s", isolated: true }],
  ["shell", { step: "s", text: "true" }, { ...head, step: "s", isolated: false }],
  ["hook", { hook: "onSuccess" }, { ...module, step: "(onSuccess)", isolated: false }],
  ["hook", { hook: "onFailure", step: "s" }, { ...module, step: "s", isolated: false }],
  ["dynamic", {}, { ...module, step: "(function)", isolated: false }],
  ["flavor", {}, { ...module, step: "(orchestrator)", isolated: false }],
  ["load", {}, { ...module, step: "(load)", isolated: false }],
])("a task of kind %s with %j", (kind, more, expected) => {
  const task = { ...all, kind, ...more } as unknown as Task;
  // Its limits hold for each kind.
  expect(headOf(task)).toEqual({ kind, ...expected, timeoutMs: 7, memoryMb: 64 });
  expect(logName(task)).toBe((expected as { step: string }).step);
  const { timeoutMs: _time, memoryMb: _memory, ...free } = task as unknown as typeof all;
  expect(headOf(free as unknown as Task)).toEqual({ kind, ...expected });
});

it("the steps of a frame have its head, and no limits", () => {
  const frame = { ...all, run: { id: "p@1", pipeline: "p" } } as unknown as TaskFrame;
  const { attempt: _attempt, ...expected } = module;
  expect(headOfFrame(frame)).toEqual({ kind: "module", ...expected, isolated: true });
});
