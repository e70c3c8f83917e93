/** What a runner's own output is cut into, and what is said of a task to its runner. */
import { describe, expect, it } from "vitest";
import type { Task } from "../../src/core/task.ts";
import { headOf, logName } from "../../src/places/pool/protocol.ts";
import { StrayLines } from "../../src/places/pool/stray-lines.ts";
import { Masker } from "../../src/core/mask.ts";

const KIB = 1_024;

function cut(chunks: readonly (string | Buffer)[], secrets: readonly string[] = []) {
  const batches: string[][] = [];
  const lines = new StrayLines(
    () => new Masker([...secrets]),
    (batch) => void batches.push([...batch]),
  );
  for (const chunk of chunks) lines.add(Buffer.from(chunk));
  lines.end();
  return { batches, recent: lines.recent };
}

describe("stray output", () => {
  const snow = Buffer.from("☃");
  it.each<[string, (string | Buffer)[], string[][]]>([
    ["no chunk", [], []],
    ["a line in two chunks", ["on", "e\n"], [["one"]]],
    ["two lines and a part", ["one\ntwo\nthr", "ee"], [["one", "two"], ["three"]]],
    ["empty lines", ["\n\n"], [["", ""]]],
    ["a letter in two chunks", [snow.subarray(0, 1), snow.subarray(1)], [["☃"]]],
    ["half a letter at the end", [snow.subarray(0, 2)], [["\ufffd"]]],
    ["a line of 64 KiB", ["x".repeat(64 * KIB)], [["x".repeat(64 * KIB)]]],
  ])("%s", (_, chunks, batches) => {
    expect(cut(chunks).batches).toEqual(batches);
  });

  it("a line of more than 64 KiB is several, and nothing of it is lost", () => {
    for (const length of [64 * KIB + 1, 128 * KIB, 128 * KIB + 1, 200_000]) {
      const text = Array.from({ length }, (_, index) => String(index % 10)).join("");
      const { batches } = cut([text]);
      const lines = batches.flat();
      expect(lines.join("")).toBe(text);
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(64 * KIB);
    }
  });

  it("no secret is cut in two", () => {
    const secret = "the-secret-itself";
    for (let before = 64 * KIB - secret.length - 1; before <= 64 * KIB + 1; before += 1) {
      const lines = cut(["x".repeat(before) + secret + "y".repeat(100)], [secret]).batches.flat();
      expect(lines.filter((line) => line.includes(secret))).toHaveLength(1);
    }
  });

  it("the last 8 KiB are remembered", () => {
    expect(cut(["a", "b\n"]).recent).toBe("ab\n");
    expect(cut(["x".repeat(8 * KIB), "end"]).recent).toBe(`${"x".repeat(8 * KIB - 3)}end`);
  });
});

describe("what is said of a task", () => {
  const common = {
    run: { id: "p@1", pipeline: "p", attempt: 2 },
    env: {},
    gracePeriodMs: 500,
  } as const;
  const code = { bundle: "b", pick: "export:default", source: "./s.ts" };

  it.each([
    [{ kind: "module", code, step: "a" }, "a"],
    [{ kind: "shell", text: "true", step: "a" }, "a"],
    [{ kind: "hook", code, hook: "onFailure" }, "(onFailure)"],
    [{ kind: "hook", code, hook: "onFailure", step: "a" }, "a"],
    [{ kind: "flavor", code, method: "stopRun" }, "(orchestrator)"],
    [{ kind: "dynamic", code }, "(function)"],
    [{ kind: "load", code }, "(load)"],
  ])("%j prints as %s", (task, name) => {
    expect(logName({ ...common, ...task } as unknown as Task)).toBe(name);
  });

  it("its head has what places and limits it, and nothing else", () => {
    const head = { run: "p@1", pipeline: "p", step: "a", attempt: 2, gracePeriodMs: 500 };
    const module = { ...common, kind: "module", code, step: "a", params: { x: 1 }, inputs: {} };
    expect(headOf({ ...module, isolated: true, timeoutMs: 9, memoryMb: 7 } as never)).toEqual({
      ...head,
      kind: "module",
      bundle: "b",
      source: "./s.ts",
      isolated: true,
      timeoutMs: 9,
      memoryMb: 7,
    });
    expect(headOf({ ...common, kind: "shell", text: "x", step: "a" } as never)).toEqual({
      ...head,
      kind: "shell",
      isolated: false,
    });
    // Only a module step can be isolated.
    expect(headOf({ ...module, kind: "dynamic", isolated: true } as never).isolated).toBe(false);
  });
});
