/** Results that are kept for the next version. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { keep, keptOf, keptRow, lastKept, readKept, type Kept } from "../../bench/kept.ts";
import { tempRoot } from "../support/temp-root.ts";

const kept = (version: string, name: string, at: string): Kept => ({
  format: 1,
  version,
  benches: {
    [name]: {
      at,
      node: "v20.20.2",
      machine: { cores: 2, model: "this", startMs: 50 },
      short: false,
      rows: [],
    },
  },
});

it("keeps a row's medians, ratios and noise to four digits, and no samples", () => {
  expect(
    keptRow({
      what: "a step",
      unit: "ms",
      orchd: { name: "chain", samples: [1.234567, 1.234567], cpuUs: [100, 100] },
      beside: { name: "raw", samples: [1, 1] },
      goal: { of: "ratio", atMost: 1.3 },
    }),
  ).toEqual({
    what: "a step",
    unit: "ms",
    beside: "raw",
    wall: { orchd: 1.235, beside: 1, ratio: 1.235, noise: 0 },
    cpu: { orchd: 100, noise: 0 },
    reached: true,
  });
});

describe("keep", () => {
  it("replaces the benches that ran and leaves the others", () => {
    const folder = tempRoot().root;
    keep(kept("0.1.0", "steps", "2026-11-01"), folder);
    keep(kept("0.1.0", "fold", "2026-11-02"), folder);
    const path = keep(kept("0.1.0", "steps", "2026-11-03"), folder);
    expect(path).toBe(join(folder, "0.1.0.json"));
    const { benches } = readKept(path);
    expect(Object.entries(benches).map(([name, { at }]) => [name, at])).toEqual([
      ["steps", "2026-11-03"],
      ["fold", "2026-11-02"],
    ]);
    expect(readFileSync(path, "utf8")).toMatch(/\n$/);
  });

  it("knows the file with the newest bench", () => {
    const folder = tempRoot().root;
    expect(lastKept(join(folder, "none"))).toBeUndefined();
    expect(keptOf("9.9.9", folder)).toBeUndefined();
    keep(kept("0.2.0", "steps", "2026-11-02"), folder);
    keep(kept("0.10.0", "steps", "2026-11-03"), folder);
    expect(lastKept(folder)).toBe(join(folder, "0.10.0.json"));
  });
});
