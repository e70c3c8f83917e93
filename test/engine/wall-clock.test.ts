/** Which pipelines go back with the wall clock, and what is remembered of its jumps. */
import { expect, test } from "vitest";
import type { PipelineDesk } from "../../src/engine/pipeline-desk.ts";
import type { ClockStep } from "../../src/engine/scheduler.ts";
import { WallClock } from "../../src/engine/wall-clock.ts";
import { silentLog } from "../../src/log.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const START = Date.parse("2026-11-23T02:00:00Z");

/** A clock, and desks that have decided up to these times. */
function given(start: number, through: Record<string, number | undefined>) {
  const clock = new VirtualClock({ start });
  const told: (ClockStep & { pipeline: string })[] = [];
  const warnings: string[] = [];
  const desks = Object.entries(through).map(([name, time]) => ({
    name,
    state: { through: time },
    stepBack: (step: ClockStep) => {
      told.push({ pipeline: name, ...step });
      return Promise.resolve();
    },
  })) as unknown as PipelineDesk[];
  const log = { ...silentLog, warn: (_: object, text: string) => void warnings.push(text) };
  const wall = new WallClock({ clock, log, upSince: start, desks: () => desks });
  return { clock, told, warnings, wall };
}

test("what is ahead of the clock goes back with it, the rest stays", async () => {
  const { told, wall } = given(START, { ahead: START + 60_000, now: START, fresh: undefined });
  await wall.whenSet(new AbortController().signal);
  expect(told).toEqual([{ pipeline: "ahead", from: START + 60_000, to: START }]);
});

test("nothing goes on before the clock has been set, and one warning says so", async () => {
  const { clock, told, warnings, wall } = given(Date.UTC(1970, 0, 1), { p: START });
  let isSet = false;
  const waiting = wall.whenSet(new AbortController().signal).then(() => (isSet = true));
  await clock.advance(10_000);
  expect([isSet, told, warnings.length]).toEqual([false, [], 1]);
  clock.step(Date.UTC(2026, 10, 23) - clock.now());
  await clock.advance(1_000);
  await waiting;
  expect(told).toEqual([{ pipeline: "p", from: START, to: clock.now() }]);
});

test("a jump forward is remembered, and moves no pipeline", () => {
  const { told, wall } = given(START, { p: START });
  const step = { from: START, to: START + 3_600_000 };
  wall.stepped(step);
  expect([wall.lastJump, wall.upSince, told]).toEqual([step, START, []]);
});

test("a jump back moves every pipeline, and the daemon is up since then at the latest", () => {
  const { told, wall } = given(START, { p: START, q: undefined });
  const step = { from: START + 5_000, to: START - 60_000 };
  wall.stepped(step);
  expect(wall.lastJump).toBeUndefined();
  expect(wall.upSince).toBe(START - 60_000);
  expect(told.map(({ pipeline }) => pipeline)).toEqual(["p", "q"]);
  wall.stepped({ from: START + 9_000, to: START + 2_000 });
  expect(wall.upSince).toBe(START - 60_000);
});

test.each([
  ["to where it was and a minute later", 60_000, 60_000],
  ["to before it", -5_000, 0],
  ["not to before its end", 4_000_000, 3_600_000],
])("a jump forward counts as far as the clock did not go back: %s", (_, back, left) => {
  const { wall } = given(START, {});
  wall.stepped({ from: START, to: START + 3_600_000 });
  wall.stepped({ from: START + 9_000_000, to: START + back });
  expect(wall.lastJump).toEqual({ from: START, to: START + left });
});
