/** Where a mark of a file points: at a key that is wrong, else at the value. */
import { expect, it } from "vitest";
import * as z from "zod";
import { formatPath } from "../../src/core/fault.ts";
import { pipelineSchema } from "../../src/core/pipeline.ts";
import { checkShape } from "../../src/core/shape-faults.ts";

it.each<[object, [string, boolean][]]>([
  [{ stepz: 1 }, [["stepz", true]]],
  [{ steps: { a: { runn: "x" } } }, [["steps.a.runn", true]]],
  [{ steps: { a: { run: 5 } } }, [["steps.a.run", false]]],
  [{ overlap: "x" }, [["overlap", false]]],
  [{ maxActiveRuns: 0 }, [["maxActiveRuns", false]]],
  [{ steps: { "a b": { run: "x" } } }, [["steps.a b", true]]],
  [{ env: { "A-B": "x" } }, [["env.A-B", true]]],
  [
    { stepz: 1, schedul: 2, overlap: 3 },
    [
      ["overlap", false],
      ["schedul", true],
      ["stepz", true],
    ],
  ],
])("%j is marked at %j", (value, marks) => {
  const shape = checkShape(pipelineSchema, { steps: { s: { run: "true" } }, ...value });
  const found = shape.ok
    ? []
    : shape.faults.map(({ path, atKey }) => [formatPath(path), atKey === true] as const);
  expect(found.toSorted(([a], [b]) => (a < b ? -1 : 1))).toEqual(marks);
});

it("of what is wrong with a field the first is told", () => {
  const schema = z.object({
    name: z
      .string()
      .min(3, "is too short")
      .regex(/^[a-z]+$/, "has no letters"),
    other: z.number(),
  });
  const shape = checkShape(schema, { name: "1", other: "1" });
  const told = shape.ok ? [] : shape.faults.map(({ path, message }) => [path[0], message]);
  expect(told).toEqual([
    ["name", "is too short"],
    ["other", expect.stringContaining("must be a number")],
  ]);
});
