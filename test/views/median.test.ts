/** What is usual: the middle of what was, the lower one of two. */
import { expect, it } from "vitest";
import { medianOf } from "../../src/views/pipeline-memory.ts";

it.each<[number[], number | null]>([
  [[], null],
  [[5], 5],
  [[9, 1], 1],
  [[10, 9, 2], 9],
  [[4, 3, 2, 1], 2],
  [[100, 20, 3, 1, 5], 5],
])("of %j it is %s", (durations, median) => {
  expect(medianOf(durations)).toBe(median);
  expect(medianOf(durations.toReversed())).toBe(median);
});
