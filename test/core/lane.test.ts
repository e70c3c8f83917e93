/** In which lane a step queues, and which steps may be begun ahead of a free thread. */
import { expect, it } from "vitest";
import { farLane, laneOf, mayGoAhead, wantedBy } from "../../src/core/lane.ts";
import type { SnapshotStep } from "../../src/core/snapshot.ts";
import { stepSpec } from "../support/given-run.ts";

const CODE = { bundle: "b", pick: "export:default", source: "./a.ts" };
const CONTAINER = {
  image: "i",
  pull: "missing",
  volumes: [],
  keep: "never",
  options: [],
} as const;
const brief = (more: Partial<SnapshotStep> = {}): SnapshotStep =>
  stepSpec("s", { run: undefined, code: CODE, ...more });

it.each<[string, Partial<SnapshotStep>, boolean]>([
  ["a function", {}, true],
  ["a shell text", { code: undefined, run: "true" }, false],
  ["one in a container", { container: CONTAINER }, false],
  ["one on another machine", { on: ["gpu"] }, true],
  ["one with a time limit", { timeoutMs: 1 }, false],
  ["one with a memory limit", { memoryMb: 1 }, false],
  ["one with a thread of its own", { isolated: true }, false],
  ["one with a hook for its success", { hooks: { onSuccess: CODE } }, false],
  ["one with a hook for its failure", { hooks: { onFailure: CODE } }, false],
  ["one that must never run twice", { onInterruption: "fail" }, false],
  ["one that may run again", { onInterruption: "rerun" }, true],
])("%s may go ahead: %#", (_what, more, may) => {
  expect(mayGoAhead(brief(more))).toBe(may);
});

it("its kind and its labels make a step's lane", () => {
  expect(laneOf(brief())).toBe("module");
  expect(laneOf(brief({ on: ["gpu", "linux"] }))).toBe("module@gpu+linux");
  expect(laneOf(brief({ container: CONTAINER }))).toBe("container");
  expect(wantedBy(farLane("module", ["a", "b"]))).toEqual({ kind: "module", labels: ["a", "b"] });
  expect(wantedBy(farLane("shell", ["a"]))).toEqual({ kind: "shell", labels: ["a"] });
  expect(wantedBy("module")).toBeUndefined();
});
