/** What is said of a name that a file does not have. */
import { expect, it } from "vitest";
import { hasNone, nearest } from "../../src/core/did-you-mean.ts";

it.each([
  ["fram", ["farm", "gpu1"], 'orchd.yaml has no place "fram"; did you mean "farm"?'],
  ["cluster", ["farm", "gpu1"], 'orchd.yaml has no place "cluster": it has farm, gpu1.'],
  ["farm", [], 'orchd.yaml has no place "farm": it has none.'],
])("of %s among %j", (name, known, told) => {
  expect(hasNone("orchd.yaml", "place", name, known)).toBe(told);
});

it.each([
  ["cronn", "cron"],
  ["foo", undefined],
  // A plural of another form: three letters of ten are wrong.
  ["maxRetry", "maxRetries"],
  ["dependency", "dependencies"],
])("near %s is %s", (word, near) => {
  expect(nearest(word, ["cron", "follow", "maxRetries", "dependencies"])).toBe(near);
});
