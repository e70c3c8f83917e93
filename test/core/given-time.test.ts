/** Times as people type them: each form, both sides of its bounds, and what is no time. */
import { describe, expect, it } from "vitest";
import { namesMinute, noTimeText, readGivenTime } from "../../src/core/given-time.ts";

const NOW = Date.parse("2026-11-28T12:34:56.789Z");
const read = (text: string): string | undefined => {
  const time = readGivenTime(text, NOW);
  return time === undefined ? undefined : new Date(time).toISOString();
};

it.each([
  ["now", "2026-11-28T12:34:56.789Z"],
  [" now ", "2026-11-28T12:34:56.789Z"],
  ["today", "2026-11-28T00:00:00.000Z"],
  ["yesterday", "2026-11-27T00:00:00.000Z"],
  ["2026-11-23", "2026-11-23T00:00:00.000Z"],
  ["2026-11-23T02:00", "2026-11-23T02:00:00.000Z"],
  ["2026-11-23 02:00", "2026-11-23T02:00:00.000Z"],
  ["2026-11-23T02:00:30", "2026-11-23T02:00:30.000Z"],
  ["2026-11-23T02:00:30.5Z", "2026-11-23T02:00:30.500Z"],
  ["2026-11-23t02:00:00z", "2026-11-23T02:00:00.000Z"],
  ["2026-11-23T02:00+01:00", "2026-11-23T01:00:00.000Z"],
  ["2026-11-23T02:00-0130", "2026-11-23T03:30:00.000Z"],
  ["20261123T020000Z", "2026-11-23T02:00:00.000Z"],
  ["20261123T020000.125Z", "2026-11-23T02:00:00.125Z"],
  ["2h", "2026-11-28T10:34:56.789Z"],
  ["-2h", "2026-11-28T10:34:56.789Z"],
  ["90m ago", "2026-11-28T11:04:56.789Z"],
  ["2024-02-29", "2024-02-29T00:00:00.000Z"],
])("%j is %s", (text, time) => {
  expect(read(text)).toBe(time);
});

it.each([
  "",
  "2026",
  "23",
  "-23",
  "1.5",
  "2026-06-31",
  "2026-02-29",
  "2026-13-01",
  "2026-11-23T24:01",
  "2026-11-23T02",
  "20261123T020000",
  "20260631T020000Z",
  "tomorrow",
  "2h later",
])("%j is no time", (text) => {
  expect(read(text)).toBeUndefined();
});

describe("a text without seconds means its minute", () => {
  it.each(["02:00", "2026-11-23T02:00", "2026-11-23 02:00Z", "2026-11-23T02:00+01:00", " 02:00z "])(
    "%j",
    (text) => expect(namesMinute(text)).toBe(true),
  );
  it.each(["2026-11-23T02:00:30", "2026-11-23T02:00:30+01:00", "2h", "now", "2026-11-23"])(
    "and %j does not",
    (text) => expect(namesMinute(text)).toBe(false),
  );
});

it("says what a time looks like", () => {
  expect(noTimeText("--from", "soon")).toBe(
    '--from: "soon" is no time; write it like 2026-11-23T02:00:00Z, 2026-11-23, today, ' +
      "or 2h for two hours ago.",
  );
});
