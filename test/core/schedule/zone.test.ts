/** What wall clocks show: local times that do not exist or exist twice. */
import { describe, expect, it } from "vitest";
import { gapsBetween, instantOf, offsetAt } from "../../../src/core/schedule/zone.ts";

describe("a local time", () => {
  const local = (text: string): number => Date.parse(`${text}Z`);
  it.each([
    ["2026-06-01T12:00", "Europe/Berlin", "2026-06-01T10:00Z", undefined],
    ["2026-03-29T02:30", "Europe/Berlin", "2026-03-29T01:00Z", "gap"],
    ["2026-10-25T02:30", "Europe/Berlin", "2026-10-25T00:30Z", "overlap"],
    ["2026-10-25T03:00", "Europe/Berlin", "2026-10-25T02:00Z", undefined],
    ["2026-10-04T02:15", "Australia/Lord_Howe", "2026-10-03T15:30Z", "gap"],
    ["2011-12-30T12:00", "Pacific/Apia", "2011-12-30T10:00Z", "gap"],
    ["1970-01-01T00:00", "UTC", "1970-01-01T00:00Z", undefined],
  ])("%s in %s is %s", (text, zone, instant, note) => {
    const found = instantOf(local(text), zone);
    expect(new Date(found.instant).toISOString()).toBe(new Date(instant).toISOString());
    expect(found.note).toBe(note);
  });

  it("is what the zone's clocks show at its instant, at every hour of two years", () => {
    const wrong: string[] = [];
    for (const zone of [
      "Europe/Berlin",
      "America/St_Johns",
      "Asia/Kathmandu",
      "Africa/Casablanca",
      "Australia/Lord_Howe",
      "America/New_York",
    ]) {
      for (let at = Date.UTC(2025, 0, 1, 0, 30); at < Date.UTC(2027, 0, 1); at += 5 * 3_600_000) {
        const { instant, note } = instantOf(at, zone);
        if (note !== "gap" && instant + offsetAt(instant, zone) !== at)
          wrong.push(`${zone} ${new Date(at).toISOString()}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});

it("finds each gap once, with the local times that it leaves out", () => {
  const gaps = gapsBetween(Date.UTC(2026, 0, 1), Date.UTC(2028, 0, 1), "America/New_York");
  expect(
    gaps.map(({ at, fromLocal, toLocal }) =>
      [at, fromLocal, toLocal].map((one) => new Date(one).toISOString().slice(0, 16)),
    ),
  ).toEqual([
    ["2026-03-08T07:00", "2026-03-08T02:00", "2026-03-08T03:00"],
    ["2027-03-14T07:00", "2027-03-14T02:00", "2027-03-14T03:00"],
  ]);
});
