/** What got worse between two measurements. */
import { expect, it } from "vitest";
import type { Kept, KeptRow, Machine } from "../../bench/kept.ts";
import { changes, changesText } from "../../bench/worse.ts";

const HERE: Machine = { cores: 2, model: "this", startMs: 50 };
const OTHER: Machine = { cores: 8, model: "other", startMs: 25 };

const kept = (rows: readonly KeptRow[], machine = HERE): Kept => ({
  format: 1,
  version: "0.1.0",
  benches: {
    steps: { at: "2026-11-28T00:00:00.000Z", node: "v20.20.2", machine, short: true, rows },
  },
});

const ratio = (value: number, noise?: number, unit: KeptRow["unit"] = "ms"): KeptRow => ({
  what: "a step",
  unit,
  beside: "raw",
  wall: { orchd: value, beside: 1, ratio: value, ...(noise === undefined ? {} : { noise }) },
});

const verdict = (before: KeptRow, now: KeptRow, machine = HERE): string | undefined =>
  changes(kept([before]), kept([now], machine))[0]?.verdict;

it("calls a change worse only if it is greater than the noise of both", () => {
  expect(verdict(ratio(1, 0), ratio(1.04, 0))).toBe("same");
  expect(verdict(ratio(1, 0), ratio(1.1, 0))).toBe("worse");
  expect(verdict(ratio(1, 0.2), ratio(1.1, 0))).toBe("same");
  expect(verdict(ratio(1, 0), ratio(1.1, 0.2))).toBe("same");
  expect(verdict(ratio(1, 0), ratio(0.9, 0))).toBe("better");
  // A single round says nothing of its noise.
  expect(verdict(ratio(1), ratio(1.2))).toBe("same");
  expect(verdict(ratio(1), ratio(1.3))).toBe("worse");
});

it("calls a smaller rate worse", () => {
  expect(verdict(ratio(0.6, 0, "steps/s"), ratio(0.5, 0, "steps/s"))).toBe("worse");
  expect(verdict(ratio(0.6, 0, "steps/s"), ratio(0.7, 0, "steps/s"))).toBe("better");
});

it("calls anything worse that was nothing before", () => {
  const early = (value: number): KeptRow => ({
    what: "early",
    unit: "%",
    wall: { orchd: value },
  });
  expect(verdict(early(0), early(0.1))).toBe("worse");
  expect(verdict(early(0), early(0))).toBe("same");
});

it("compares ratios from machine to machine, sizes too, and times on the same one alone", () => {
  const own = (value: number, unit: KeptRow["unit"]): KeptRow => ({
    what: "it",
    unit,
    wall: { orchd: value, noise: 0 },
  });
  expect(verdict(ratio(1, 0), ratio(2, 0), OTHER)).toBe("worse");
  expect(verdict(own(100, "MiB"), own(200, "MiB"), OTHER)).toBe("worse");
  expect(verdict(own(100, "ms"), own(200, "ms"), OTHER)).toBeUndefined();
  expect(verdict(own(100, "ms"), own(200, "ms"))).toBe("worse");
});

it("takes wall and processor time apart, and the worst first", () => {
  const before: KeptRow[] = [
    { ...ratio(1, 0), cpu: { orchd: 100, beside: 100, ratio: 1, noise: 0 } },
    { ...ratio(1, 0), what: "another" },
    { ...ratio(1, 0), what: "gone" },
  ];
  const now: KeptRow[] = [
    { ...ratio(0.5, 0), cpu: { orchd: 300, beside: 100, ratio: 3, noise: 0 } },
    { ...ratio(2, 0), what: "another" },
    { ...ratio(2, 0), what: "new" },
  ];
  const all = changes(kept(before), kept(now));
  expect(all.map(({ what, of, verdict: said }) => [what, of, said])).toEqual([
    ["a step", "CPU", "worse"],
    ["another", "wall", "worse"],
    ["a step", "wall", "better"],
  ]);
  expect(changesText(all)).toMatch(/\n2 of 3 got worse\.$/);
  expect(changesText([])).toBe("No row is in both.");
});
