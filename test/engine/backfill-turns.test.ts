/**
 * A backfill beside a desk and runs that a test plays: what it asks for and when, which runs its
 * slots need, and what it leaves to the next daemon.
 */
import { utimesSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { PipelineEvent, RunHeader } from "../../src/core/event.ts";
import type { Schedule } from "../../src/core/schedule/schedule-schema.ts";
import { Backfills, type BackfillPorts } from "../../src/engine/backfills.ts";
import type { PipelineDesk } from "../../src/engine/pipeline-desk.ts";
import { LedgerClosed, LedgerExists } from "../../src/ledger/ledger-error.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { silentLog } from "../../src/log.ts";
import { pipelineOf } from "../support/engine-rig.ts";
import { scheduleOf } from "../support/given-schedule.ts";
import { header, writeRun } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const FROM = "2026-11-22T01:00:00.000Z";
const TO = "2026-11-22T04:00:00.000Z";
const slotOf = (hour: number): string => `p@20261122T0${hour}0000Z`;
const hourly = scheduleOf({ cron: "0 * * * *", catchUp: "none" });

function rig(schedules: readonly Schedule[] = [hourly]) {
  const clock = new VirtualClock();
  const store = new RunStore(tempRoot().runs);
  const lines: PipelineEvent[] = [];
  const made: { header: RunHeader; ticket: Record<string, unknown>; lines: unknown }[] = [];
  const said: string[] = [];
  const faults: (Error | Promise<Error>)[] = [];
  const active: string[] = [];
  const accepted = new Map<string, object>();
  const known = new Set<string>();
  let held: Promise<void> | undefined;
  const loaded = pipelineOf("p", schedules);
  const desk = {
    name: "p",
    loaded,
    schedules,
    state: { requests: known, backfills: accepted },
    queueTerms: () => ({ lane: "p", limit: 1, priority: 2, group: undefined }),
    append: async (events: readonly PipelineEvent[]) => {
      await held;
      lines.push(...events);
    },
    makeRun: async (
      header: RunHeader,
      ticket: Record<string, unknown>,
      events: readonly PipelineEvent[],
    ) => {
      const fault = await faults.shift();
      if (fault !== undefined) throw fault;
      made.push({ header, ticket, lines: events });
      active.push(header.run);
      await Promise.resolve();
    },
  };
  const backfills = new Backfills({
    clock,
    log: { ...silentLog, error: (_: object, text: string) => void said.push(text) },
    store,
    runs: { ofBackfill: () => active.length },
  } as unknown as BackfillPorts);
  const taken = (id: string) => ({ id, by: "cli:ann" }) as never;
  const begin = (more: object = {}, id = "b1") =>
    backfills.begin(desk as unknown as PipelineDesk, taken(id), {
      type: "backfill",
      pipeline: "p",
      from: FROM,
      to: TO,
      which: "all",
      ...more,
    } as never);
  /** The runs that are active end. */
  const end = async (): Promise<void> => {
    active.length = 0;
    backfills.poke("p");
    await clock.settle();
  };
  return {
    accepted,
    backfills,
    begin,
    clock,
    desk,
    end,
    faults,
    known,
    lines,
    made,
    said,
    store,
    taken,
    hold: (until: Promise<void>): void => {
      held = until;
    },
    runs: () => made.map(({ header: one }) => one.run),
    resume: async () => {
      backfills.resume(desk as unknown as PipelineDesk);
      await clock.settle();
    },
  };
}

describe("a backfill", () => {
  it("has one run at a time, oldest first, where nothing is said, and then an end", async () => {
    const there = rig();
    expect(await there.begin()).toEqual({ accepted: true, result: { slots: 4 } });
    await there.clock.settle();
    expect(there.lines).toEqual([
      {
        type: "backfill.started",
        requestId: "b1",
        from: FROM,
        to: TO,
        which: "all",
        maxActive: 1,
        slots: 4,
      },
    ]);
    for (let hour = 1; hour <= 4; hour += 1) {
      expect(there.runs().at(-1)).toBe(`${slotOf(hour)}-b1`);
      expect(there.runs()).toHaveLength(hour);
      // A run of another pipeline says nothing.
      there.backfills.poke("q");
      await there.clock.settle();
      expect(there.runs()).toHaveLength(hour);
      await there.end();
    }
    expect(there.lines.at(-1)).toEqual({
      type: "backfill.finished",
      requestId: "b1",
      because: "4 slots were gone over, 4 runs were made",
    });
    await there.end();
    expect(there.lines).toHaveLength(2);
  });

  it("makes runs in a lane of its own, in their slots' order, under its own limit", async () => {
    const there = rig();
    await there.begin({ maxActive: 3, params: { depth: 2 } });
    await there.clock.settle();
    expect(there.runs()).toHaveLength(3);
    const { header: one, ticket, lines } = there.made[1]!;
    expect(ticket).toEqual({
      lane: "backfill b1",
      limit: 3,
      priority: 2,
      group: undefined,
      run: `${slotOf(2)}-b1`,
      kind: "backfill",
      backfill: "b1",
      order: Date.parse("2026-11-22T02:00:00.000Z"),
    });
    expect(one).toMatchObject({
      params: { depth: 2 },
      because: "backfill b1",
      trigger: {
        kind: "backfill",
        scheduledFor: "2026-11-22T02:00:00.000Z",
        requestId: "b1",
      },
    });
    expect(lines).toEqual([
      {
        type: "slot.backfilled",
        slot: "2026-11-22T02:00:00.000Z",
        run: `${slotOf(2)}-b1`,
        requestId: "b1",
      },
    ]);
  });

  it("makes nothing before its line is durable", async () => {
    const there = rig();
    let go!: () => void;
    there.hold(new Promise((resolve) => (go = resolve)));
    const begun = there.begin();
    await there.clock.settle();
    expect(there.made).toEqual([]);
    go();
    await begun;
    await there.clock.settle();
    expect(there.made).toHaveLength(1);
  });

  it("ends once its last run has ended, and not before", async () => {
    const there = rig();
    await there.begin({ maxActive: 9 });
    await there.clock.settle();
    there.backfills.poke("p");
    await there.clock.settle();
    expect(there.lines.map(({ type }) => type)).toEqual(["backfill.started"]);
    await there.end();
    expect(there.lines.map(({ type }) => type)).toEqual(["backfill.started", "backfill.finished"]);
  });

  it("that is known is answered, and begun once", async () => {
    const there = rig();
    await there.begin();
    expect(await there.begin()).toEqual({ accepted: true });
    const later = rig();
    later.known.add("b1");
    expect(await later.begin()).toEqual({ accepted: true });
    expect([there.lines.length, later.lines.length]).toEqual([1, 0]);
  });

  it("that is cancelled makes no more, and both requests have their line", async () => {
    const there = rig();
    await there.begin();
    await there.clock.settle();
    expect(await there.backfills.cancel("b1", there.taken("c1"))).toEqual({ accepted: true });
    expect(there.lines.slice(1)).toEqual([
      { type: "backfill.finished", requestId: "b1", because: "cancelled by cli:ann" },
      { type: "request.noted", requestId: "c1", because: "it ended backfill b1" },
    ]);
    await there.end();
    expect(there.made).toHaveLength(1);
    expect(await there.backfills.cancel("b1", there.taken("c2"))).toEqual({
      accepted: false,
      reason: "no backfill b1 is going on",
    });
  });
});

it("a backfill that is cancelled makes no run while the line of its end is written", async () => {
  const there = rig();
  let make!: () => void;
  there.faults.push(new Promise((resolve) => (make = () => resolve(undefined as never))));
  await there.begin({ maxActive: 9 });
  let go!: () => void;
  there.hold(new Promise((resolve) => (go = resolve)));
  const cancelled = there.backfills.cancel("b1", there.taken("c1"));
  // The run that was under way is made, and no other.
  make();
  await there.clock.settle();
  expect(there.runs()).toEqual([`${slotOf(1)}-b1`]);
  go();
  await cancelled;
  await there.end();
  expect(there.runs()).toHaveLength(1);
  expect(there.lines.map(({ type }) => type)).toEqual([
    "backfill.started",
    "backfill.finished",
    "request.noted",
  ]);
});

describe("a backfill that meets a trouble", () => {
  it("tries the same slot again after a minute, and says so each time", async () => {
    const there = rig();
    there.faults.push(new Error("no room"), new Error("no room"));
    await there.begin();
    await there.clock.settle();
    expect([there.said.length, there.made]).toEqual([1, []]);
    await there.clock.advance(59_999);
    expect(there.said).toHaveLength(1);
    await there.clock.advance(1);
    expect(there.said).toHaveLength(2);
    await there.clock.advance(60_000);
    expect(there.runs()).toEqual([`${slotOf(1)}-b1`]);
    expect(there.clock.timers).toBe(0);
  });

  it("and again as a run ended meanwhile waits for one minute, not for two", async () => {
    const there = rig();
    there.faults.push(new Error("no room"), new Error("no room"));
    await there.begin();
    await there.clock.settle();
    await there.clock.advance(30_000);
    await there.end();
    expect([there.said.length, there.clock.timers]).toEqual([2, 1]);
    await there.clock.advance(59_999);
    expect(there.made).toEqual([]);
    await there.clock.advance(1);
    expect(there.runs()).toHaveLength(1);
  });

  it("waits no more where the daemon ends, and leaves it to the next one", async () => {
    const there = rig();
    there.faults.push(new Error("no room"));
    await there.begin();
    await there.clock.settle();
    there.backfills.stop();
    expect(there.clock.timers).toBe(0);
    there.faults.push(new Error("no room"));
    await there.end();
    await there.clock.advance(600_000);
    expect([there.made, there.lines.length]).toEqual([[], 1]);
  });

  it("as the daemon ends is not tried again", async () => {
    const there = rig();
    let fail!: (error: Error) => void;
    there.faults.push(new Promise((resolve) => (fail = resolve)));
    await there.begin();
    await there.clock.settle();
    there.backfills.stop();
    fail(new Error("no room"));
    await there.clock.settle();
    expect([there.said.length, there.clock.timers]).toEqual([1, 0]);
  });

  it("of a ledger that is closed says nothing: the daemon ends", async () => {
    const there = rig();
    there.faults.push(new LedgerClosed("/x"));
    await there.begin();
    await there.clock.settle();
    expect([there.said, there.clock.timers]).toEqual([[], 0]);
  });

  it("takes the next id where somebody else's run took its own", async () => {
    const there = rig();
    there.faults.push(new LedgerExists("/x"));
    await there.begin();
    await there.clock.settle();
    expect([there.said, there.runs()]).toEqual([[], [`${slotOf(1)}-b1`]]);
  });
});

describe("a slot of a backfill", () => {
  const ended = (status: string): object[] => [
    { type: "run.finished", status, because: "x", durationMs: 1 },
  ];
  type Run = readonly [run: string, status: string, ageMs: number, requestId?: string];
  it.each<[string, string, readonly Run[], boolean]>([
    ["that has no run", "missing", [], true],
    ["that has one", "missing", [[slotOf(1), "failed", 0]], false],
    ["that has one of another backfill", "missing", [[`${slotOf(1)}-b1`, "failed", 0, "x"]], false],
    ["that has no run", "failed", [], false],
    ["whose run failed", "failed", [[slotOf(1), "failed", 0]], true],
    ["whose run was stopped", "failed", [[slotOf(1), "stopped", 0]], true],
    ["whose run completed", "failed", [[slotOf(1), "completed", 0]], false],
    [
      "whose newest run completed",
      "failed",
      [
        [slotOf(1), "failed", 9_000],
        [`${slotOf(1)}-r1`, "completed", 1_000],
      ],
      false,
    ],
    [
      "whose newest run failed",
      "failed",
      [
        [slotOf(1), "completed", 1_000],
        [`${slotOf(1)}-r1`, "failed", 0],
      ],
      true,
    ],
    [
      "of whose runs of one moment the later one failed",
      "failed",
      [
        [slotOf(1), "completed", 1_000],
        [`${slotOf(1)}-r1`, "failed", 1_000],
      ],
      true,
    ],
    ["that has a run", "all", [[slotOf(1), "completed", 0]], true],
    ["that has a run of this backfill", "all", [[`${slotOf(1)}-b1`, "failed", 0, "b1"]], false],
    ["that has a run of this backfill", "failed", [[`${slotOf(1)}-b1`, "failed", 0, "b1"]], false],
    ["that has a run of this backfill", "missing", [[`${slotOf(1)}-b1`, "failed", 0, "b1"]], false],
    ["that has one of another backfill", "all", [[`${slotOf(1)}-b1`, "failed", 0, "x"]], true],
  ])("%s, in one of %s: %j needs a run: %s", async (_, which, runs, needs) => {
    const there = rig();
    const now = Date.now();
    for (const [run, status, ageMs, requestId] of runs) {
      const trigger = { kind: "backfill", requestId };
      const first = header(run, { a: [] }, requestId === undefined ? {} : { trigger });
      const path = writeRun(there.store.runsDir, run, [first, ...(ended(status) as never[])]);
      const at = (now - 60_000 - ageMs) / 1_000;
      utimesSync(path, at, at);
    }
    await there.begin({ which, to: FROM });
    await there.clock.settle();
    expect(there.made.length === 1).toBe(needs);
    const next = runs.some(([run]) => run.endsWith("-b1")) ? "-b2" : "-b1";
    if (needs) expect(there.runs()).toEqual([`${slotOf(1)}${next}`]);
    await there.end();
    // A run of this backfill was made before a restart: it is counted, too.
    const isMade = needs || runs.some(([, , , requestId]) => requestId === "b1");
    expect(there.lines.at(-1)).toMatchObject({
      because: `1 slot was gone over, ${isMade ? "1 run was" : "0 runs were"} made`,
    });
  });
});

it.each([
  [{ maxActive: 2 }, 2],
  // A release before this one wrote no limit: one at a time.
  [{}, 1],
])("a backfill of an earlier daemon goes on once, with %j: %i at a time", async (more, limit) => {
  const there = rig();
  there.accepted.set("b7", { requestId: "b7", from: FROM, to: TO, which: "all", ...more });
  await there.resume();
  await there.resume();
  expect(there.runs()).toEqual([1, 2].slice(0, limit).map((hour) => `${slotOf(hour)}-b1`));
  for (const { ticket } of there.made) expect(ticket).toMatchObject({ backfill: "b7", limit });
});

it("a schedule by its name alone has its slots, with its params below those given", async () => {
  const schedules = [
    scheduleOf({ cron: "0 * * * *", name: "hourly", params: { a: 1, b: 1 } }),
    scheduleOf({ cron: "30 * * * *", name: "half", params: { a: 2 } }),
  ];
  const there = rig(schedules);
  const reply = await there.begin({ schedule: "hourly", params: { b: 9 }, maxActive: 9 });
  await there.clock.settle();
  expect(reply).toMatchObject({ result: { slots: 4 } });
  expect(there.made[0]!.header).toMatchObject({
    params: { a: 1, b: 9 },
    trigger: { schedule: "hourly" },
  });
  expect(there.made[0]!.lines).toMatchObject([{ schedule: "hourly" }]);
});

it("a slot of a schedule that has a name alone is named by its time alone", async () => {
  const there = rig([scheduleOf({ cron: "0 * * * *", name: "hourly" })]);
  await there.begin();
  await there.clock.settle();
  expect(there.runs()).toEqual([`${slotOf(1)}-b1`]);
  expect(there.made[0]!.header).toMatchObject({ trigger: { schedule: "hourly" } });
  expect((there.made[0]!.lines as object[])[0]).not.toHaveProperty("schedule");
});

it("a slot that got its run while missing ones are run is missing no more", async () => {
  const there = rig();
  await there.begin({ which: "missing" });
  await there.clock.settle();
  writeRun(there.store.runsDir, slotOf(2), [header(slotOf(2), { a: [] })]);
  await there.end();
  await there.end();
  expect(there.runs()).toEqual([1, 3, 4].map((hour) => `${slotOf(hour)}-b1`));
});

it("a slot of a named schedule has the runs of that name, and no others", async () => {
  const named = scheduleOf({ cron: "0 * * * *", name: "hourly", params: { a: 1 } });
  const there = rig([named]);
  for (const run of [`${slotOf(1)}.hourly`, slotOf(2), `${slotOf(3)}.other`])
    writeRun(there.store.runsDir, run, [header(run, { a: [] })]);
  await there.begin({ which: "missing", maxActive: 9 });
  await there.clock.settle();
  expect(there.runs()).toEqual([2, 3, 4].map((hour) => `${slotOf(hour)}.hourly-b1`));
});
