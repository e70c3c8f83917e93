/** Where the steps of a graph stand, and the lines between them. */
import { describe, expect, it } from "vitest";
import type { Graph } from "../../src/views/graph.ts";
import {
  BOX,
  layOut,
  likelyHeight,
  needsOf,
  shapeOf,
} from "../../src/page/app/run/graph-layout.ts";

/** Steps by name: what each takes from others, and which it only comes after. */
const graphOf = (
  steps: Readonly<Record<string, readonly [inputs: string, after: string]>>,
): Graph =>
  ({
    steps: Object.entries(steps).map(([step, [inputs, after]]) => ({
      step,
      inputs: [...inputs].map((from) => ({ from })),
      after: [...after],
    })),
  }) as unknown as Graph;

const DIAMOND = graphOf({ a: ["", ""], b: ["a", ""], c: ["", "a"], d: ["bc", "c"] });

it("what a step needs is named once, its order alone only where no data comes from there", () => {
  expect(needsOf(graphOf({ d: ["bcb", "cax"] }).steps[0]!)).toEqual([
    ["b", false],
    ["c", false],
    ["a", true],
    ["x", true],
  ]);
});

it("a layout depends on names and needs", () => {
  expect(shapeOf(DIAMOND)).toBe(
    '[["a",[],[]],["b",["a"],[]],["c",[],["a"]],["d",["b","c"],["c"]]]',
  );
});

it.each([
  [{}, 70],
  [{ a: ["", ""] }, 70],
  [{ a: ["", ""], b: ["", ""], c: ["ab", ""] }, 132],
  [{ a: ["", ""], b: ["a", ""], c: ["", "a"], d: ["a", ""], e: ["b", ""] }, 194],
  // A step that is not in the graph holds no place.
  [{ a: ["z", ""], b: ["", ""] }, 132],
] as const)("the likely height of %j is %i", (steps, height) => {
  expect(likelyHeight(graphOf(steps as never))).toBe(height);
});

describe("a layout", () => {
  it("stands from left to right, the first step uppermost, with a line for each need", async () => {
    const { width, height, boxes, edges } = await layOut(DIAMOND);
    const at = (step: string) => boxes.get(step)!;
    expect([...boxes.keys()]).toEqual(["a", "b", "c", "d"]);
    expect([at("a").x, at("b").x, at("c").x, at("d").x]).toEqual([
      8,
      8 + BOX.width + 48,
      8 + BOX.width + 48,
      8 + 2 * (BOX.width + 48),
    ]);
    expect(Math.abs(at("c").y - at("b").y)).toBe(BOX.height + 18);
    expect(width).toBe(at("d").x + BOX.width + 8);
    expect(height).toBe(Math.max(at("b").y, at("c").y) + BOX.height + 8);
    expect(edges.map(({ from, to, orderOnly }) => [from, to, orderOnly])).toEqual([
      ["a", "b", false],
      ["a", "c", true],
      ["b", "d", false],
      ["c", "d", false],
    ]);
    for (const { from, to, path } of edges) {
      const [one, other] = [at(from), at(to)];
      expect(path.startsWith(`M${one.x + BOX.width} ${one.y + BOX.height / 2}C`)).toBe(true);
      expect(path.endsWith(`${other.x} ${other.y + BOX.height / 2}`)).toBe(true);
    }
  });

  it("has what needs nothing at the left, and no line from a step that is not there", async () => {
    const { boxes, edges } = await layOut(graphOf({ a: ["", ""], b: ["z", ""], c: ["a", "z"] }));
    expect([boxes.get("a")!.x, boxes.get("b")!.x]).toEqual([8, 8]);
    expect(boxes.get("a")!.y).toBeLessThan(boxes.get("b")!.y);
    expect(edges.map(({ from, to }) => [from, to])).toEqual([["a", "c"]]);
  });

  it("goes by way of the room that is left between boxes", async () => {
    const { edges } = await layOut(graphOf({ a: ["", ""], b: ["a", ""], c: ["ba", ""] }));
    const long = edges.find(({ from, to }) => from === "a" && to === "c")!;
    const short = edges.find(({ from, to }) => from === "a" && to === "b")!;
    expect(long.path.split("C").length).toBeGreaterThan(short.path.split("C").length);
  });
});
