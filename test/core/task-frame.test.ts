/** Tasks in two parts: what a run's steps have in common, and what each has of its own. */
import { describe, expect, it } from "vitest";
import {
  FramedTask,
  frameText,
  partsText,
  taskOfFrame,
  wholeTask,
  type StepParts,
  type TaskFrame,
  type TextFrame,
} from "../../src/core/task-frame.ts";
import type { ModuleTask } from "../../src/core/task.ts";

const FRAME: TaskFrame = {
  code: { bundle: "b", pick: "export:default", source: "./a.ts" },
  isolated: false,
  run: { id: "p@1", pipeline: "p" },
  env: { HOME: "/root", ORCHD_RUN_ID: "p@1" },
  gracePeriodMs: 10,
  artifacts: "/artifacts",
};
const NONE: StepParts = { params: {}, inputs: {} };

/** What a thread makes of a frame and a step that came as text. */
function sent(frame: TaskFrame, parts: StepParts, step = "a", attempt = 1): ModuleTask {
  const read = JSON.parse(frameText(frame)) as TextFrame;
  return taskOfFrame(read, step, attempt, partsText(parts));
}

describe("a task with a frame", () => {
  it("is the whole task, with the step's name and attempt in its environment", () => {
    const whole = {
      kind: "module",
      code: FRAME.code,
      isolated: false,
      artifacts: "/artifacts",
      run: { id: "p@1", pipeline: "p", attempt: 3 },
      step: "a",
      gracePeriodMs: 10,
      env: { ORCHD_STEP: "a", ORCHD_ATTEMPT: "3", HOME: "/root", ORCHD_RUN_ID: "p@1" },
      params: { n: 1 },
      inputs: {},
    };
    const parts = { params: { n: 1 }, inputs: {} };
    const task = new FramedTask(FRAME, "a", 3, parts);
    expect(sent(FRAME, parts, "a", 3)).toStrictEqual(whole);
    expect(wholeTask(task)).toStrictEqual(whole);
    expect(JSON.parse(JSON.stringify(task))).toStrictEqual(whole);
    for (const [name, value] of Object.entries(whole))
      expect(task[name as keyof FramedTask]).toStrictEqual(value);
  });

  it("has the slot, the state, declared outputs and inputs in files where there are some", () => {
    const frame: TaskFrame = {
      ...FRAME,
      run: { ...FRAME.run, scheduledFor: "2026-11-28T00:00:00.000Z" },
      state: { deep: [1] },
      outputs: ["x"],
    };
    const stored = [{ step: "b", outputs: { x: 1 }, inputs: { i: "x" } }];
    const parts = { params: {}, inputs: { i: null }, stored };
    const task = sent(frame, parts);
    expect(task.run).toStrictEqual({
      id: "p@1",
      pipeline: "p",
      attempt: 1,
      scheduledFor: "2026-11-28T00:00:00.000Z",
    });
    expect(task).toMatchObject({ state: { deep: [1] }, outputs: ["x"], stored });
    expect(wholeTask(new FramedTask(frame, "a", 1, parts))).toStrictEqual(task);
  });

  it("shares nothing with the next one that user code may change", () => {
    const read = JSON.parse(frameText({ ...FRAME, state: { list: [1] } })) as TextFrame;
    const [one, two] = [taskOfFrame(read, "a", 1, undefined), taskOfFrame(read, "b", 1, undefined)];
    (one.state as { list: number[] }).list.push(2);
    Object.assign(one.run, { pipeline: "other" });
    Object.assign(one.env, { HOME: "elsewhere" });
    Object.assign(one.params, { n: 1 });
    Object.assign(one.inputs, { n: 1 });
    expect(two).toMatchObject({ state: { list: [1] }, run: { pipeline: "p" }, params: {} });
    expect(two.env["HOME"]).toBe("/root");
    expect(two.inputs).toStrictEqual({});
  });

  it("needs no text of its own where a step is given nothing", () => {
    expect(partsText(NONE)).toBeUndefined();
    expect(partsText({ params: { n: null }, inputs: {} })).toBe(
      '{"params":{"n":null},"inputs":{}}',
    );
    expect(partsText({ params: {}, inputs: { n: 0 } })).toBe('{"params":{},"inputs":{"n":0}}');
    expect(partsText({ ...NONE, stored: [] })).toBe('{"params":{},"inputs":{},"stored":[]}');
  });
});
