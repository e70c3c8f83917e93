/** What `context.log` wrote, as people read it. */
import { expect, it } from "vitest";
import { spokenLine } from "../../src/core/spoken-line.ts";

it.each([
  ['{"level":"info","message":"3 files"}', "info: 3 files"],
  ['{"level":"info","message":"3 files","bytes":12}', 'info: 3 files {"bytes":12}'],
  ['{"level":"warn","message":"a\\nb\\r"}', "warn: a\\nb\\r"],
  ['{"level":"info"}', '{"level":"info"}'],
  ['{"level":30,"message":"m"}', '{"level":30,"message":"m"}'],
  ['{"level":"info","message":"cut', '{"level":"info","message":"cut'],
  ['{"message":"m","level":"info"}', '{"message":"m","level":"info"}'],
  ["plain\ttext", "plain\ttext"],
])("%s is told as %s", (line, told) => {
  expect(spokenLine(line)).toBe(told);
});
