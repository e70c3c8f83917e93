/** Where a part of a pipeline file stands: each kind of part, and parts that are not there. */
import { expect, it } from "vitest";
import { readSourceText } from "../../src/schedules/source-text.ts";

const TEXT = `name: p
env: { 5: five, true: yes, "6": six }
schedule:
  - cron: "@daily"
    params: {}
  - cron: "@hourly"
steps:
  a: &a
    run: "true"
    after: []
  b: *a
  c:
`;

function placeOf(text: string, path: readonly (string | number)[], atKey?: boolean) {
  const read = readSourceText(text, text.startsWith("{") ? "json" : "yaml");
  const place = read.ok ? read.source.locate(path, atKey) : undefined;
  return place === undefined ? undefined : `${place.line}:${place.column}`;
}

it.each<[(string | number)[], value: string, key: string]>([
  [[], "1:1", "1:1"],
  [["name"], "1:7", "1:1"],
  // Keys that YAML reads as numbers and truths are texts to what checks them.
  [["env", "5"], "2:11", "2:8"],
  [["env", "true"], "2:23", "2:17"],
  [["env", "6"], "2:33", "2:28"],
  // A map or a list has the place of its key.
  [["env"], "2:1", "2:1"],
  [["schedule"], "3:1", "3:1"],
  [["schedule", 0, "cron"], "4:11", "4:5"],
  [["schedule", 1], "6:5", "6:5"],
  [["schedule", 1, "cron"], "6:11", "6:5"],
  [["schedule", 0, "params"], "5:5", "5:5"],
  [["steps", "a", "after"], "10:5", "10:5"],
  // What an alias stands for is at its anchor.
  [["steps", "b", "run"], "9:10", "9:5"],
  [["steps", "b"], "11:6", "11:3"],
  [["steps", "c"], "12:5", "12:3"],
  // What is not there has the place of the nearest part around it.
  [["none"], "1:1", "1:1"],
  [["schedule", 2], "3:1", "3:1"],
  [["schedule", 1, "timezone"], "6:5", "6:5"],
  [["schedule", "cron"], "3:1", "3:1"],
  [["steps", "c", "run"], "12:3", "12:3"],
  [["steps", "d", "run"], "7:1", "7:1"],
  [["name", "x"], "1:1", "1:1"],
])("%j", (path, value, key) => {
  expect([placeOf(TEXT, path), placeOf(TEXT, path, true)]).toEqual([value, key]);
});

it("is that of the text in JSON too", () => {
  const text = '{"name": "p",\n "env": {"5": "x"},\n "steps": [1, {"a": 2}]}';
  expect(placeOf(text, ["env", "5"])).toBe("2:15");
  expect(placeOf(text, ["env", "5"], true)).toBe("2:10");
  expect(placeOf(text, ["steps", 1, "a"])).toBe("3:21");
  expect(placeOf(text, ["steps", 2])).toBe("3:2");
});
