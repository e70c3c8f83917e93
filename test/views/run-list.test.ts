import { existsSync, readdirSync } from "node:fs";
import { expect, it } from "vitest";
import { RunStore } from "../../src/ledger/run-store.ts";
import { newestRuns } from "../../src/views/run-list.ts";
import { completedRun, loaded, writePipeline, writeRun } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const slot = (minute: number): string => new Date(Date.UTC(2026, 10, 23, 2, minute)).toISOString();
const idOf = (pipeline: string, minute: number): string =>
  `${pipeline}@${slot(minute).slice(0, 19).replaceAll(/[-:]/g, "")}Z`;

it.runIf(existsSync("/proc/self/fd"))(
  "the newest runs leave no ledger open, however little of it was read",
  () => {
    const { runs } = tempRoot();
    for (const pipeline of ["a", "b", "c"]) {
      const minutes = [1, 2, 3, 4];
      writePipeline(runs, pipeline, [
        loaded("* * * * *"),
        ...minutes.map((minute) => ({
          type: "slot.fired",
          at: slot(minute),
          slot: slot(minute),
          run: idOf(pipeline, minute),
          through: slot(minute),
        })),
      ]);
      for (const minute of minutes)
        writeRun(runs, idOf(pipeline, minute), completedRun(idOf(pipeline, minute)), slot(minute));
    }
    const store = new RunStore(runs);
    const open = (): number => readdirSync("/proc/self/fd").length;
    const before = open();
    const all = { status: undefined, sinceMs: Number.NEGATIVE_INFINITY, number: 2 };
    expect(newestRuns(store, ["a", "b", "c"], all).map(({ run }) => run)).toEqual([
      idOf("a", 4),
      idOf("b", 4),
    ]);
    const since = { ...all, sinceMs: Date.parse(slot(4)), number: 100 };
    expect(newestRuns(store, ["a", "b", "c"], since)).toHaveLength(3);
    expect(open()).toBe(before);
  },
);

it("the newest runs since a time are those that were asked for since then", () => {
  const { runs } = tempRoot();
  const [long, brief] = [idOf("a", 1), idOf("a", 5)];
  writePipeline(runs, "a", [
    loaded("* * * * *"),
    { type: "slot.fired", at: slot(1), slot: slot(1), run: long, through: slot(1) },
    { type: "slot.fired", at: slot(5), slot: slot(5), run: brief, through: slot(5) },
    // It began before, and ended after that time.
    { type: "run.finished", at: slot(9), run: long, status: "completed", durationMs: 480_000 },
  ]);
  for (const [run, minute] of [
    [long, 1],
    [brief, 5],
  ] as const)
    writeRun(runs, run, completedRun(run), slot(minute));
  const since = (minute: number): string[] =>
    newestRuns(new RunStore(runs), ["a"], {
      status: undefined,
      sinceMs: Date.parse(slot(minute)),
      number: 9,
    }).map(({ run }) => run);
  expect(since(1)).toEqual([brief, long]);
  expect(since(2)).toEqual([brief]);
  expect(since(5)).toEqual([brief]);
  expect(since(6)).toEqual([]);
});

it("the newest runs since a time are found also where a clock was behind for a while since", () => {
  const { runs } = tempRoot();
  const ids = [idOf("a", 1), idOf("a", 5), "a@20200101T000100Z", idOf("a", 9)];
  const behind = "2020-01-01T00:01:00.000Z";
  const fired = (run: string, at: string) => ({ type: "slot.fired", at, slot: at, run });
  writePipeline(runs, "a", [
    loaded("* * * * *"),
    fired(ids[0]!, slot(1)),
    fired(ids[1]!, slot(5)),
    { type: "clock.stepped", at: "2020-01-01T00:00:09.000Z", from: slot(6), to: behind },
    fired(ids[2]!, behind),
    ...Array.from({ length: 40 }, () => ({ type: "pipeline.resumed", at: behind })),
    fired(ids[3]!, slot(9)),
  ]);
  const times = [slot(1), slot(5), behind, slot(9)];
  for (const [nth, run] of ids.entries()) writeRun(runs, run, completedRun(run), times[nth]);
  const since = (minute: number): string[] =>
    newestRuns(new RunStore(runs), ["a"], {
      status: undefined,
      sinceMs: Date.parse(slot(minute)),
      number: 9,
    }).map(({ run }) => run);
  expect(since(9)).toEqual([ids[3]]);
  expect(since(2)).toEqual([ids[3], ids[1]]);
  expect(since(0)).toEqual([ids[3], ids[1], ids[0]]);
});
