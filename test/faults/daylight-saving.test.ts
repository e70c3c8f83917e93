/**
 * Promise 17: what the calculator says around every moment at which the clocks of a zone are set is
 * compared with a count minute by minute.
 */
import { expect, it } from "vitest";
import { cronCalculator } from "../../src/core/schedule/cron-calculator.ts";
import {
  firesAround,
  plainPattern,
  transitionsOf,
  type PlainPattern,
  type Transition,
} from "../core/schedule/wall-clock-oracle.ts";
import { fullFigures, reached } from "../support/figures.ts";

/**
 * The zones of the quick form: a change of half an hour, of two hours, over midnight both ways, a
 * month without summer time, and the end of a day.
 */
const QUICK_ZONES = [
  "Australia/Lord_Howe",
  "Antarctica/Troll",
  "Africa/Cairo",
  "America/Havana",
  "Africa/Casablanca",
  "America/Nuuk",
];
const [FROM, TO] = fullFigures
  ? [Date.UTC(2020, 0, 1), Date.UTC(2038, 0, 1)]
  : [Date.UTC(2026, 0, 1), Date.UTC(2028, 0, 1)];
const REACH = 27 * 3_600_000;

/** Patterns that fire around a transition, and some that it may not touch. */
function patternsAround({ at, before, after }: Transition): PlainPattern[] {
  const low = at + Math.min(before, after);
  const high = at + Math.max(before, after);
  // Wall times that are left out or come twice: the first, one within, the last, and both
  // neighbours.
  const walls = [low - 60_000, low, (low + high) / 2, high - 60_000, high].map(
    (wall) => new Date(wall),
  );
  const fixed = walls.map((wall) =>
    plainPattern(`${wall.getUTCMinutes()}`, `${wall.getUTCHours()}`),
  );
  const hour = walls[1]!.getUTCHours();
  return [
    ...fixed,
    plainPattern("5,35", `${hour}`),
    plainPattern("0,30", `0-${hour}`),
    plainPattern("0", "0"),
    plainPattern("*/15", "*"),
    plainPattern("7", "*"),
    plainPattern("0", "*/2"),
    plainPattern("*/20", `${hour}`),
  ];
}

it(
  "every pattern fires as the published rule says around every transition from 2020 to 2037",
  { timeout: 1_800_000 },
  () => {
    const zones = fullFigures ? Intl.supportedValuesOf("timeZone") : QUICK_ZONES;
    const wrong: string[] = [];
    let transitions = 0;
    let compared = 0;
    for (const zone of zones) {
      const ofZone = transitionsOf(zone, FROM, TO);
      for (const [index, transition] of ofZone.entries()) {
        // Transitions of a zone must be far apart: the window looks at one of them.
        expect(
          index === 0 || transition.at - ofZone[index - 1]!.at > 2 * REACH,
          `${zone} has two transitions close together`,
        ).toBe(true);
        transitions += 1;
        for (const pattern of patternsAround(transition)) {
          const expected = firesAround(pattern, transition, REACH);
          const found: number[] = [];
          const calculator = cronCalculator(pattern.text, zone);
          for (
            let slot = calculator.next(transition.at - REACH - 1_000);
            slot !== undefined && slot <= transition.at + REACH;
            slot = calculator.next(slot)
          )
            found.push(slot);
          compared += expected.length;
          if (JSON.stringify(found) === JSON.stringify(expected)) continue;
          const odd = [
            ...found.filter((slot) => !expected.includes(slot)),
            ...expected.filter((slot) => !found.includes(slot)),
          ];
          const iso = (time: number): string => new Date(time).toISOString();
          wrong.push(
            `${pattern.text} in ${zone} at ${iso(transition.at)}: ${odd.map(iso).join(" ")}`,
          );
        }
      }
    }
    const differing = new Set(wrong.map((one) => one.slice(one.indexOf(" in ")))).size;
    reached(
      17,
      `transitions in ${zones.length} zones that agree with brute force (${compared} slots)`,
      transitions - differing,
      transitions,
    );
    expect(wrong).toEqual([]);
    expect(transitions).toBeGreaterThan(fullFigures ? 4_500 : 20);
  },
);
