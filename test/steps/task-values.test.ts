/** The values that a task gets by reference, loaded where it runs. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Json } from "../../src/core/snapshot.ts";
import { Artifacts } from "../../src/ledger/artifacts.ts";
import { valuesIn, withValues } from "../../src/steps/task-values.ts";
import { tempRoot } from "../support/temp-root.ts";

function rig() {
  const artifacts = new Artifacts(join(tempRoot().runs, "artifacts"));
  const put = async (value: Json) => ({ ...(await artifacts.put(value)) });
  return { folder: artifacts.directory, artifacts, put };
}

const failure = (act: () => unknown): Error => {
  try {
    act();
  } catch (error) {
    return error as Error;
  }
  throw new Error("it did not fail");
};

describe("a task", () => {
  it("has its inputs from files beside the others, and its state", async () => {
    const { folder, put } = rig();
    const [one, state] = [await put([1]), await put({ db: 2 })];
    const outputs = { a: one, b: 3 };
    const stored = [{ step: "up", outputs, inputs: { x: "a", all: null } }];
    const inputs = { x: null, all: null, plain: 7 };
    const task = { artifacts: folder, step: "s", inputs, stored, state, kept: true };
    expect(withValues(task)).toEqual({
      artifacts: folder,
      step: "s",
      inputs: { x: [1], all: { a: [1], b: 3 }, plain: 7 },
      stored: undefined,
      state: { db: 2 },
      kept: true,
    });
    // Each of the two alone; a state that is no reference stays.
    expect(withValues({ artifacts: folder, inputs, state })).toEqual({
      artifacts: folder,
      inputs,
      state: { db: 2 },
    });
    const plain = { artifacts: folder, inputs, stored: stored.slice(0, 1), state: { db: 3 } };
    expect(withValues(plain)).toMatchObject({ inputs: { x: [1] }, state: { db: 3 } });
    expect(withValues({ artifacts: folder, inputs, stored })).not.toHaveProperty("state");
  });

  it("without references is the same, and so is one without a folder", async () => {
    const { folder, put } = rig();
    for (const task of [
      { artifacts: folder, inputs: { a: 1 }, state: { b: 1 } },
      { inputs: { a: 1 }, state: await put(1), stored: [] },
    ])
      expect(withValues(task)).toBe(task);
  });

  it("whose value cannot be had is told so, without orchd's own frames", async () => {
    const { folder, artifacts, put } = rig();
    const [gone, damaged] = [{ $artifact: "0".repeat(64), bytes: 1 }, await put("text")];
    writeFileSync(artifacts.path(damaged), '"tent"');
    for (const [ref, why] of [
      [gone, "cannot be read"],
      [damaged, "is damaged"],
    ] as const) {
      const sentence = `The artifact ${join(folder, ref.$artifact)} ${why}`;
      for (const act of [
        () => withValues({ artifacts: folder, state: ref }),
        () => valuesIn(folder).resolve(ref),
      ]) {
        const error = failure(act);
        expect([error.name, error.stack]).toEqual(["ArtifactUnusable", undefined]);
        expect(error.message).toContain(sentence);
      }
    }
    const stored = [{ step: "up", outputs: { a: 1 }, inputs: { x: "b" } }];
    const error = failure(() => withValues({ artifacts: folder, step: "down", stored }));
    expect(error.stack).toBeUndefined();
    expect(error.message).toMatch(/down.*up/);
  });
});
