import { describe, expect, it, vi } from "vitest";
import * as keys from "../../src/core/cache-key.ts";
import { cacheKey, cacheKeyParts, type CacheKeyParts } from "../../src/core/cache-key.ts";
import type { SnapshotStep } from "../../src/core/snapshot.ts";
import { KnownKeys } from "../../src/run/known-keys.ts";
import { stepSpec } from "../support/given-run.ts";

const CODE = { bundle: "b".repeat(64), pick: "export:default", source: "./read.ts" };
const partsOf = (
  step: Partial<SnapshotStep>,
  more: Partial<CacheKeyParts> = {},
): CacheKeyParts => ({
  ...cacheKeyParts(stepSpec("s", step), {
    project: "default",
    params: {},
    inputs: {},
    env: { A: "1", B: { secret: "b" } },
    files: [["/in", "h"]],
  }),
  ...more,
});
const modules = partsOf({ run: undefined, code: CODE });

/** Parts that differ from the ones before them in one member each. */
const EACH: CacheKeyParts[] = [
  modules,
  { ...modules, format: 99 },
  { ...modules, project: "other" },
  { ...modules, code: "c".repeat(64) },
  { ...modules, code: null },
  { ...modules, export: "export:other" },
  { ...modules, params: { a: 1 } },
  { ...modules, params: { a: { b: [1, 2] } } },
  { ...modules, params: { a: { b: [2, 1] } } },
  { ...modules, inputs: { x: "h" } },
  { ...modules, outputs: ["x"] },
  { ...modules, env: { A: "1", B: { secret: "c" } } },
  { ...modules, env: { A: "1" } },
  { ...modules, files: [] },
  { ...modules, files: [["/in", "h2"]] },
  { ...modules, cacheFunction: "x" },
  { ...modules, scheduledFor: "2026-11-23T02:00:00.000Z" },
  partsOf({ run: "make", shell: ["/bin/sh"], cwd: "/a" }),
  partsOf({ run: "make", shell: ["/bin/sh"], cwd: "/b" }),
  partsOf({ run: "make" }),
];

describe("the keys that a run knows", () => {
  it("are what the parts give, in any order", () => {
    expect(new Set(EACH.map(cacheKey)).size).toBe(EACH.length);
    const known = new KnownKeys();
    for (const one of EACH)
      for (const other of EACH)
        for (const parts of [one, other, one])
          expect(known.of(structuredClone(parts))).toBe(cacheKey(parts));
  });

  it("are computed once where all parts are equal, for each function", () => {
    const computed = vi.spyOn(keys, "cacheKey");
    const known = new KnownKeys();
    const other = { ...modules, export: "export:other" };
    for (let n = 0; n < 100; n += 1)
      for (const parts of [modules, other]) known.of(structuredClone(parts));
    expect(computed).toHaveBeenCalledTimes(2);
    computed.mockRestore();
  });
});
