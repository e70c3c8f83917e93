/** Quiet hours against a look at every minute, around every change of clocks. */
import { describe, expect, it } from "vitest";
import type { QuietHours } from "../../src/core/notify-settings.ts";
import { quietUntil } from "../../src/notify/quiet-hours.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const at = (text: string): number => Date.parse(text);
const hours = (from: string, to: string, timezone = "UTC"): QuietHours => {
  const [fromMinutes, toMinutes] = [from, to].map((text) => {
    const [hour, minute] = text.split(":").map(Number);
    return hour! * 60 + minute!;
  });
  return { from: fromMinutes!, to: toMinutes!, timezone };
};
const until = (time: string, quiet: QuietHours): string =>
  new Date(quietUntil(at(time), quiet)).toISOString().slice(0, 16);

describe("quiet hours", () => {
  it("end at their last minute, on the next day if they go over midnight", () => {
    const night = hours("22:00", "07:00");
    expect(until("2026-11-28T21:59:59.999Z", night)).toBe("2026-11-28T21:59");
    expect(until("2026-11-28T22:00:00Z", night)).toBe("2026-11-29T07:00");
    expect(until("2026-11-29T06:59:59.999Z", night)).toBe("2026-11-29T07:00");
    expect(until("2026-11-29T07:00:00Z", night)).toBe("2026-11-29T07:00");
    expect(until("2026-11-29T12:10:00Z", hours("12:00", "13:00"))).toBe("2026-11-29T13:00");
  });

  it("are of their zone", () => {
    const night = hours("22:00", "07:00", "Asia/Kolkata");
    expect(until("2026-11-28T16:29:00Z", night)).toBe("2026-11-28T16:29");
    expect(until("2026-11-28T16:30:00Z", night)).toBe("2026-11-29T01:30");
  });

  it("end with the gap that has their end, and come twice where clocks show them twice", () => {
    // Berlin, 29 March 2026: 02:00 becomes 03:00, at 01:00 UTC.
    expect(until("2026-03-29T00:30:00Z", hours("22:00", "02:30", "Europe/Berlin"))).toBe(
      "2026-03-29T01:00",
    );
    expect(until("2026-03-29T00:59:00Z", hours("02:10", "02:40", "Europe/Berlin"))).toBe(
      "2026-03-29T00:59",
    );
    // Berlin, 25 October 2026: 03:00 becomes 02:00, at 01:00 UTC.
    const late = hours("22:00", "02:30", "Europe/Berlin");
    expect(until("2026-10-25T00:10:00Z", late)).toBe("2026-10-25T00:30");
    expect(until("2026-10-25T00:40:00Z", late)).toBe("2026-10-25T00:40");
    expect(until("2026-10-25T01:00:00Z", late)).toBe("2026-10-25T01:30");
  });

  it.each([
    "Europe/Berlin",
    "America/New_York",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Africa/Casablanca",
    "Asia/Tehran",
    "Pacific/Apia",
  ])("are what each minute says, at every change from 2020 to 2037, in %s", (timezone) => {
    const clock = new Intl.DateTimeFormat("sv", { timeZone: timezone, timeStyle: "short" });
    const minuteOf = (time: number): number => {
      const [hour, minute] = clock.format(time).split(":").map(Number);
      return hour! * 60 + minute!;
    };
    const changes = changesOf(minuteOf);
    let compared = 0;
    for (const [index, change] of changes.entries()) {
      const from = change - 13 * HOUR;
      const minutes = Array.from({ length: 39 * 60 }, (_, n) => minuteOf(from + n * MINUTE));
      const shift = (index * 7) % 60;
      for (const [begin, end] of WINDOWS) {
        const quiet = { from: (begin + shift) % 1_440, to: (end + shift) % 1_440, timezone };
        const isQuiet = (minute: number): boolean =>
          quiet.from < quiet.to
            ? quiet.from <= minute && minute < quiet.to
            : quiet.from <= minute || minute < quiet.to;
        for (let n = (index * 5) % 17; n < 15 * 60; n += 17) {
          const found = minutes.findIndex((minute, m) => m >= n && !isQuiet(minute));
          if (found === -1) continue;
          compared += 1;
          if (quietUntil(from + n * MINUTE, quiet) !== from + found * MINUTE)
            expect.unreachable(
              `${new Date(from + n * MINUTE).toISOString()} ${JSON.stringify(quiet)}: ` +
                `${new Date(from + found * MINUTE).toISOString()} by the minutes`,
            );
        }
      }
    }
    expect(changes.length).toBeGreaterThan(2);
    expect(compared).toBeGreaterThan(500);
  });
});

/** Minutes of the day, before a shift that differs from change to change. */
const WINDOWS: readonly (readonly [number, number])[] = [
  [22 * 60, 7 * 60],
  [23 * 60 + 30, 2 * 60 + 15],
  [60, 2 * 60],
  [2 * 60, 3 * 60],
  [2 * 60 + 15, 2 * 60 + 20],
  [0, 23 * 60 + 50],
  [12 * 60, 18 * 60],
];

/** The hours in which the zone's clocks are changed, by comparing them hour by hour. */
function changesOf(minuteOf: (time: number) => number): number[] {
  const changes: number[] = [];
  const last = Date.UTC(2038, 0, 1);
  let before = minuteOf(Date.UTC(2020, 0, 1));
  for (let time = Date.UTC(2020, 0, 1) + HOUR; time < last; time += HOUR) {
    const minute = minuteOf(time);
    if ((before + 60) % 1_440 !== minute) changes.push(time);
    before = minute;
  }
  return changes;
}
