/** A pipeline's slots of the last day, counted by ten minutes, and slots by what became of them. */
import { describe, expect, it } from "vitest";
import type { SlotReason, StripMark } from "../../src/views/overview.ts";
import { DayTally, dayStart } from "../../src/views/day-tally.ts";
import { fateOf, isLate, mergeReasons, reasonsOf } from "../../src/views/slot-sums.ts";

const at = (time: string): string => `2026-11-28T${time}.000Z`;
const ms = (time: string): number => Date.parse(at(time));
const mark = (time: string, more: Partial<StripMark> = {}): StripMark =>
  ({
    slot: at(time),
    schedule: undefined,
    decision: "fired",
    run: `p@${time}`,
    status: "completed",
    lateMs: 0,
    durationMs: 1,
    because: null,
    ...more,
  }) as StripMark;

it("a day begins with the ten minutes that hold its begin", () => {
  for (const [now, from] of [
    ["12:00:00", "12:00:00"],
    ["12:09:59", "12:00:00"],
    ["12:10:00", "12:10:00"],
  ] as const)
    expect(dayStart(ms(now))).toBe(ms(from) - 86_400_000);
});

describe("a tally", () => {
  it("counts each slot by its fate, and forgets what is before the day", () => {
    const tally = new DayTally("p", [
      mark("01:00:00"),
      mark("01:09:59", { lateMs: 1_001 }),
      mark("01:10:00", { decision: "missed", run: null, because: "no daemon" }),
      mark("02:00:00", { decision: "by_hand" as never }),
    ]);
    const all = { total: 3, ran: 2, late: 1, failed: 0, skipped: 0, missed: 1 };
    expect(tally.sums(ms("01:00:00"))).toEqual(all);
    expect(tally.first(ms("01:00:00"))).toBe(at("01:00:00"));
    expect(tally.sums(ms("01:10:00"))).toEqual({ ...all, total: 1, ran: 0, late: 0 });
    expect(tally.first(ms("01:10:00"))).toBe(at("01:10:00"));
    expect(tally.reasons(ms("01:10:00"))).toMatchObject([{ because: "no daemon", slots: 1 }]);
    expect(tally.sums(ms("01:20:00")).total).toBe(0);
    expect(tally.first(ms("01:20:00"))).toBeUndefined();
  });

  it("knows at once what has come and what has failed since it was asked", () => {
    const tally = new DayTally("p", [mark("01:00:00"), mark("01:20:00")]);
    const failed = (): number => tally.sums(0).failed;
    expect(failed()).toBe(0);
    tally.fail(ms("01:05:00"));
    expect(failed()).toBe(1);
    tally.fail(ms("03:00:00"));
    tally.fail(ms("01:20:00"));
    expect([failed(), tally.sums(0).total]).toEqual([2, 2]);
    tally.add([mark("01:00:30"), mark("00:50:00")]);
    expect([tally.sums(0).total, tally.first(0)]).toEqual([4, at("00:50:00")]);
  });
});

describe("a slot", () => {
  it.each<[Partial<StripMark>, ReturnType<typeof fateOf>, boolean]>([
    [{ decision: "fired", lateMs: 1_000 }, "ran", false],
    [{ decision: "fired", lateMs: 1_001 }, "ran", true],
    [{ decision: "fired", lateMs: null }, "ran", false],
    [{ decision: "fired", run: null }, "skipped", false],
    [{ decision: "caught_up", lateMs: 0 }, "ran", true],
    [{ decision: "skipped" }, "skipped", false],
    [{ decision: "missed", lateMs: 5_000 }, "missed", false],
    [{ decision: "backfilled" }, undefined, false],
    [{ decision: "by_hand", lateMs: 5_000 }, undefined, false],
  ])("of %j is %s; late: %s", (more, fate, late) => {
    expect([fateOf(mark("01:00:00", more)), isLate(mark("01:00:00", more))]).toEqual([fate, late]);
  });

  it("that did not run has its reason, without the name of one run, and its backfill", () => {
    const missed = { decision: "missed", run: null } as const;
    const busy = (run: string) => ({
      decision: "skipped" as const,
      run: null,
      because: `run ${run} still goes on; overlap is skip`,
    });
    expect(
      reasonsOf("p", [
        mark("01:00:00", { ...missed, because: "x" }),
        mark("01:00:00", { decision: "backfilled" }),
        mark("02:00:00", { ...missed, because: null }),
        mark("03:00:00", busy("p@20261128T010000Z")),
        mark("04:00:00", busy("p@20261128T020000Z-m")),
        mark("05:00:00"),
      ]),
    ).toEqual([
      {
        decision: "skipped",
        because: "the run before still goes on; overlap is skip",
        slots: 2,
        backfilled: 0,
        pipelines: ["p"],
        from: at("03:00:00"),
        to: at("04:00:00"),
      },
      expect.objectContaining({ because: "no reason was recorded", backfilled: 0 }),
      expect.objectContaining({ because: "x", backfilled: 1 }),
    ]);
  });
});

it("equal reasons are one; of those as frequent, the newest is first", () => {
  const reason = (more: Partial<SlotReason>): SlotReason => ({
    decision: "missed",
    because: "x",
    slots: 1,
    backfilled: 1,
    pipelines: ["p"],
    from: at("02:00:00"),
    to: at("02:00:00"),
    ...more,
  });
  const merged = mergeReasons([
    reason({ because: "old", from: at("01:00:00"), to: at("01:00:00") }),
    reason({}),
    reason({ decision: "skipped" }),
    reason({ pipelines: ["p", "q"], slots: 2, from: at("01:00:00"), to: at("01:30:00") }),
    reason({ from: at("03:00:00"), to: at("03:00:00") }),
  ]);
  expect(merged).toEqual([
    reason({
      slots: 4,
      backfilled: 3,
      pipelines: ["p", "q"],
      from: at("01:00:00"),
      to: at("03:00:00"),
    }),
    reason({ decision: "skipped" }),
    reason({ because: "old", from: at("01:00:00"), to: at("01:00:00") }),
  ]);
});
