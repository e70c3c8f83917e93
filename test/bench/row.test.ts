/** A row's figures: ratios, noise and goals. */
import { describe, expect, it } from "vitest";
import { cpuOf, median, quantile, reached, wallOf, type Row } from "../../bench/row.ts";

const row = (more: Partial<Row> = {}): Row => ({
  what: "a step",
  unit: "ms",
  orchd: { name: "ours", samples: [2, 4, 6] },
  ...more,
});

describe("quantile", () => {
  it("interpolates between two samples, in whatever order they came", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(quantile([10, 0], 0.25)).toBe(2.5);
    expect(median([])).toBeNaN();
  });
});

describe("wallOf", () => {
  it("gives the median of each round's ratio where both sides were measured in turn", () => {
    // The machine was ten times slower in the last round, for both sides.
    const slow = row({
      orchd: { name: "ours", samples: [2, 4, 40] },
      beside: { name: "raw", samples: [1, 2, 20] },
    });
    expect(wallOf(slow)).toEqual({ orchd: 4, beside: 2, ratio: 2, noise: 0 });
  });

  it("gives the ratio of the medians where the sides have different numbers of samples", () => {
    const uneven = row({ beside: { name: "raw", samples: [1, 2, 3, 4] } });
    expect(wallOf(uneven)).toEqual({ orchd: 4, beside: 2.5, ratio: 1.6 });
  });

  it("gives the spread of its own samples where nothing stands beside it", () => {
    expect(wallOf(row())).toEqual({ orchd: 4, noise: 0.5 });
    expect(wallOf(row({ orchd: { name: "ours", samples: [7] } }))).toEqual({ orchd: 7 });
  });
});

describe("cpuOf", () => {
  it("is missing where no processor time was measured", () => {
    expect(cpuOf(row())).toBeUndefined();
    expect(cpuOf(row({ orchd: { name: "ours", samples: [1], cpuUs: [] } }))).toBeUndefined();
  });

  it("has a ratio only where both sides have processor time", () => {
    const orchd = { name: "ours", samples: [1, 1], cpuUs: [300, 500] };
    expect(cpuOf(row({ orchd, beside: { name: "raw", samples: [1, 1] } }))?.ratio).toBeUndefined();
    const beside = { name: "raw", samples: [1, 1], cpuUs: [100, 250] };
    expect(cpuOf(row({ orchd, beside }))).toMatchObject({ orchd: 400, beside: 175, ratio: 2.5 });
  });
});

describe("reached", () => {
  const beside = { name: "raw", samples: [2, 4, 6], cpuUs: [10, 10, 10] };
  const orchd = { name: "ours", samples: [3, 6, 9], cpuUs: [30, 30, 30] };

  it("is undefined without a goal", () => {
    expect(reached(row())).toBeUndefined();
  });

  it("compares the ratio, or orchd's own median", () => {
    expect(reached(row({ orchd, beside, goal: { of: "ratio", atMost: 1.5 } }))).toBe(true);
    expect(reached(row({ orchd, beside, goal: { of: "ratio", atMost: 1.4 } }))).toBe(false);
    expect(reached(row({ orchd, beside, goal: { of: "ratio", atLeast: 1.6 } }))).toBe(false);
    expect(reached(row({ orchd, goal: { of: "orchd", atMost: 6 } }))).toBe(true);
  });

  it("holds the processor time to its own goal as well", () => {
    const goal = { of: "ratio", atMost: 1.5 } as const;
    expect(reached(row({ orchd, beside, goal, cpuAtMost: 3 }))).toBe(true);
    expect(reached(row({ orchd, beside, goal, cpuAtMost: 2 }))).toBe(false);
    expect(reached(row({ orchd, beside, cpuAtMost: 2 }))).toBe(false);
  });

  it("does not reach a ratio where there is none", () => {
    expect(reached(row({ goal: { of: "ratio", atMost: 9 } }))).toBe(false);
  });
});
