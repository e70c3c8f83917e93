import { expect, test } from "vitest";
import { emptyPipelineState } from "../../src/core/pipeline-state.ts";
import type { ActiveRun } from "../../src/engine/active-runs.ts";
import { OverdueWatch } from "../../src/engine/overdue-watch.ts";
import { EngineRig, pipelineOf } from "../support/engine-rig.ts";
import { scheduleOf } from "../support/given-schedule.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const minutely = scheduleOf({ cron: "* * * * *" });

/** A pipeline whose runs take two seconds each, except those of the given minutes. */
function rig(odd: Record<string, number>): EngineRig {
  return new EngineRig({
    runs: tempRoot().runs,
    script: { durationOf: (run) => odd[run.slice(11, 15)] ?? 2_000 },
  });
}

/** The reasons that are told when a run ends, after runs that took so long. */
function saidAtEnd(durations: readonly number[], tookMs: number): string[] {
  const state = emptyPipelineState();
  state.durations.push(...durations);
  const said: string[] = [];
  const watch = new OverdueWatch({
    clock: new VirtualClock(),
    runs: () => [],
    stateOf: () => state,
    append: (_, event) => void said.push(String("because" in event && event.because)),
  });
  watch.ended("p@20261123T020000Z", "p", tookMs);
  return said;
}

test("a run of three times its history's slowest is reported once, while it runs", async () => {
  const there = rig({ "0222": 5_000, "0223": 50_000, "0225": 7_000 });
  await there.up();
  await there.drop(pipelineOf("p", [minutely]));
  // Twenty runs are a history. The run of 02:22 is long, and not overdue.
  await there.clock.advance(23 * 60_000 + 55_000);
  const overdue = there.lines("p").filter(({ type }) => type === "run.overdue");
  expect(overdue.map(({ run }) => run)).toEqual(["p@20261123T022300Z"]);
  expect(String(overdue[0]!["because"])).toMatch(
    /^run p@20261123T022300Z goes on for \d+s; 99 of 100 of the last 22 took no more than 5s$/,
  );
  const ended = there
    .lines("p")
    .find(({ type, run }) => type === "run.finished" && run === "p@20261123T022300Z")!;
  expect(overdue[0]!.seq).toBeLessThan(ended.seq);
});

test("a run that came and went between two looks is overdue too", async () => {
  const there = rig({ "0221": 7_000, "0222": 5_999 });
  await there.up();
  await there.drop(pipelineOf("p", [minutely]));
  await there.clock.advance(23 * 60_000);
  const overdue = there.lines("p").filter(({ type }) => type === "run.overdue");
  expect(overdue.map(({ run, because }) => [run, because])).toEqual([
    [
      "p@20261123T022100Z",
      "run p@20261123T022100Z took 7s; 99 of 100 of the last 20 took no more than 2s",
    ],
  ]);
});

test("a run is overdue by how long daemons worked on it, and not by how long it took", async () => {
  const there = new EngineRig({
    runs: tempRoot().runs,
    script: {
      durationOf: (run) => (run.slice(11, 15) === "0221" ? 7_000 : 2_000),
      // No daemon was there for most of the one; the clock was set back during the other.
      workedMsOf: (run) => ({ "0221": 2_000, "0222": 7_000 })[run.slice(11, 15)],
    },
  });
  await there.up();
  await there.drop(pipelineOf("p", [minutely]));
  await there.clock.advance(23 * 60_000);
  const overdue = there.lines("p").filter(({ type }) => type === "run.overdue");
  expect(overdue.map(({ because }) => because)).toEqual([
    "run p@20261123T022200Z took 7s; 99 of 100 of the last 21 took no more than 2s",
  ]);
});

test.each([
  [99, [9_000], 26_999, undefined],
  [99, [9_000], 27_000, "9s"],
  // One of a hundred is an exception: the next longest counts.
  [100, [9_000], 5_999, undefined],
  [100, [9_000], 6_000, "2s"],
  [100, [9_000, 8_000], 23_999, undefined],
  [100, [9_000, 8_000], 24_000, "8s"],
])(
  "of %i runs of 2 s but those of %j ms, one of %i ms is over what is usual: %s",
  (count, longer, tookMs, usual) => {
    const usualMs = Array<number>(count - longer.length).fill(2_000);
    const said = saidAtEnd([...longer, ...usualMs], tookMs);
    expect(said.map((because) => /no more than (\S+)$/.exec(because)?.[1])).toEqual(
      usual === undefined ? [] : [usual],
    );
  },
);

test("no run is overdue without a history of twenty, or below one second", async () => {
  const there = rig({ "0210": 50_000 });
  await there.up();
  await there.drop(pipelineOf("p", [minutely]));
  await there.clock.advance(25 * 60_000);
  expect(there.lines("p").filter(({ type }) => type === "run.overdue")).toEqual([]);
});

test("a slot whose run waits for a minute is reported once, with the reason", async () => {
  const there = rig({ "0201": 300_000 });
  await there.up();
  await there.drop(pipelineOf("p", [scheduleOf({ cron: "1,2 2 * * *" })], { overlap: "queue" }));
  await there.clock.advance(8 * 60_000);
  const late = there.lines("p").filter(({ type }) => type === "slot.late");
  expect(late.map(({ slot, run }) => [slot, run])).toEqual([
    ["2026-11-23T02:02:00.000Z", "p@20261123T020200Z"],
  ]);
  expect(String(late[0]!["because"])).toContain(
    "run p@20261123T020100Z still goes on; overlap is queue",
  );
});

test("a run that was reported before a restart is not reported again after it", async () => {
  const there = rig({ "0222": 7_200_000, "0223": 300_000 });
  await there.up();
  await there.drop(pipelineOf("p", [minutely], { overlap: "queue" }));
  await there.clock.advance(26 * 60_000);
  const said = (): (string | undefined)[] =>
    there
      .lines("p")
      .flatMap(({ type, run }) =>
        type === "slot.late" || type === "run.overdue" ? [`${type} ${String(run)}`] : [],
      );
  expect(said()).toEqual(["run.overdue p@20261123T022200Z", "slot.late p@20261123T022300Z"]);
  await there.kill();
  await there.clock.advance(1_000);
  await there.up();
  await there.clock.advance(5 * 60_000);
  expect(said()).toHaveLength(2);
});

/** A watch over one run, and what it said. */
function watchOver(run: {
  readonly id?: string;
  readonly kind?: string;
  readonly going: boolean;
  readonly workedMs?: number;
  readonly before?: { readonly late?: boolean; readonly overdue?: boolean };
}): {
  readonly clock: VirtualClock;
  readonly watch: OverdueWatch;
  readonly said: string[];
  gone(): void;
} {
  const { id = "p@20261123T020000Z", kind = "schedule", going, workedMs, before } = run;
  const clock = new VirtualClock();
  const state = emptyPipelineState();
  state.durations.push(...Array<number>(20).fill(2_000));
  if (before !== undefined) state.active.set(id, before as never);
  const said: string[] = [];
  let all = [
    {
      ticket: { run: id, pipeline: "p", kind },
      since: 0,
      going,
      because: "its turn has not come",
      handle: { state: { workedMs } },
    } as unknown as ActiveRun,
  ];
  const watch = new OverdueWatch({
    clock,
    runs: () => all,
    stateOf: () => state,
    append: (_, event) => void said.push(event.type),
  });
  return { clock, watch, said, gone: () => void (all = []) };
}

test("a slot is late after just a minute, once, and not again when its run is gone", async () => {
  const { clock, watch, said, gone } = watchOver({ going: false });
  await clock.advance(59_999);
  watch.look();
  expect(said).toEqual([]);
  await clock.advance(1);
  watch.look();
  watch.look();
  expect(said).toEqual(["slot.late"]);
  gone();
  watch.look();
  watch.ended("p@20261123T020000Z", "p", 10);
  expect(said).toEqual(["slot.late"]);
});

test.each([
  ["by hand", { kind: "manual" }],
  ["of a backfill", { kind: "backfill" }],
  ["that an earlier daemon told", { before: { late: true } }],
])("a waiting run %s is not told late", async (_, more) => {
  const { clock, watch, said } = watchOver({ going: false, ...more });
  await clock.advance(600_000);
  watch.look();
  expect(said).toEqual([]);
});

test("what earlier daemons worked on a run counts, and a run is told once in all", async () => {
  const { clock, watch, said } = watchOver({ going: true, workedMs: 4_000 });
  await clock.advance(1_999);
  watch.look();
  expect(said).toEqual([]);
  await clock.advance(1);
  watch.look();
  watch.look();
  watch.ended("p@20261123T020000Z", "p", 60_000);
  expect(said).toEqual(["run.overdue"]);
  const told = watchOver({ going: true, before: { overdue: true } });
  told.watch.ended("p@20261123T020000Z", "p", 60_000);
  expect(told.said).toEqual([]);
});

test.each([
  [1_000, true],
  [999, false],
])("a run of %i ms may be overdue where others take next to nothing: %s", (tookMs, isTold) => {
  expect(saidAtEnd(Array<number>(20).fill(1), tookMs).length > 0).toBe(isTold);
});
