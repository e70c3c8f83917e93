/** What an orchestrator's class returns: taken where it is of use, refused where it is of none. */
import { expect, it } from "vitest";
import {
  checkedMetadata,
  checkedRunId,
  checkedStatus,
  checkedWait,
} from "../../src/steps/flavor-answers.ts";

it("the run's id is a text, or is not known yet, and never a promise", () => {
  const ids = [undefined, null, "", 7, "o-7"].map(checkedRunId);
  expect(ids).toEqual([undefined, undefined, undefined, undefined, "o-7"]);
  const late = Promise.reject(new Error("nobody hears this"));
  expect(() => checkedRunId(late)).toThrow("returned a promise: write it without async");
});

it("the wait is a function, or there is none", () => {
  const wait = (): void => {};
  expect([undefined, null, wait].map(checkedWait)).toEqual([undefined, undefined, wait]);
  const late = Promise.reject(new Error("nobody hears this"));
  for (const wrong of [late, true, "soon"])
    expect(() => checkedWait(wrong)).toThrow("a waitForCompletion that is no function");
});

it("metadata is JSON", () => {
  expect([undefined, { id: 1 }].map(checkedMetadata)).toEqual([{}, { id: 1 }]);
  const round: Record<string, unknown> = {};
  round["round"] = round;
  for (const wrong of [{ n: 1n }, round])
    expect(() => checkedMetadata(wrong)).toThrow(/^the metadata of the submission is no JSON: /);
});

it("a status is one of the statuses, of the run and of each step", () => {
  expect(
    [undefined, null, {}, { status: "running", steps: { a: "completed" } }].map(checkedStatus),
  ).toEqual([{}, {}, {}, { status: "running", steps: { a: "completed" } }]);
  expect(checkedStatus({ status: null, steps: null })).toEqual({ status: null, steps: null });
  expect(() => checkedStatus("running")).toThrow("fetchStatus returned no map");
  expect(() => checkedStatus({ status: "done" })).toThrow(
    'fetchStatus returned as status "done"; it is one of initializing, running, ',
  );
  expect(() => checkedStatus({ steps: ["a"] })).toThrow("steps that are no map");
  expect(() => checkedStatus({ steps: { a: 7 } })).toThrow('as status of step "a" a number; it is');
});
