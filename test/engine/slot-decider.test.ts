/** When a slot is late, and the reason of one that is. */
import { mkdirSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { RunHeader } from "../../src/core/event.ts";
import type { LoadedPipeline } from "../../src/core/loaded-pipeline.ts";
import { emptyPipelineState, slotKey } from "../../src/core/pipeline-state.ts";
import type { RunTicket } from "../../src/engine/active-runs.ts";
import { scheduleKey } from "../../src/core/schedule/schedule.ts";
import type { Schedule } from "../../src/core/schedule/schedule-schema.ts";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import { queueTermsOf } from "../../src/engine/queue-terms.ts";
import {
  MOST_AT_ONCE,
  SlotDecider,
  type DeciderPorts,
  type Outcome,
} from "../../src/engine/slot-decider.ts";
import type { ClockStep } from "../../src/engine/scheduler.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { pipelineOf } from "../support/engine-rig.ts";
import { snapshotOf, stepSpec } from "../support/given-run.ts";
import { scheduleOf } from "../support/given-schedule.ts";
import { tempRoot } from "../support/temp-root.ts";

const NOW = Date.UTC(2026, 10, 23, 12, 0, 30);
const minute = (count: number): number => NOW - count * 60_000;
const LATE = "reached more than 60 s late; catchUp is none";
const JUMPED = expect.stringMatching(/^the clock jumped from \S+ to \S+ \(it was set/) as string;

/** What a daemon that has been up since `upSince` says of slots from five minutes ago. */
function becauseOf(jump: ClockStep | undefined, upSince = minute(600)): unknown {
  const loaded = pipelineOf("p", [scheduleOf({ cron: "56 11 * * *", catchUp: "none" })]);
  const view = {
    name: "p",
    state: emptyPipelineState(),
    loaded,
    without: undefined,
    damaged: false,
  };
  const ports = {
    store: new RunStore(tempRoot().runs),
    upSince: () => upSince,
    lastJump: () => jump,
  } as unknown as DeciderPorts;
  const [first] = new SlotDecider(view, ports, loaded.schedules).decide(minute(5), minute(2));
  return first?.kind === "line" && "because" in first.event ? first.event.because : undefined;
}

it.each([
  [59_999, "slot.fired"],
  [60_000, "slot.fired"],
  [60_001, "slot.missed"],
])("a slot is on time for a minute: reached %i ms late it is %s", (lateMs, type) => {
  const loaded = pipelineOf("p", [scheduleOf({ cron: "56 11 * * *", catchUp: "none" })], {
    shadow: true,
  });
  const view = {
    name: "p",
    state: emptyPipelineState(),
    loaded,
    without: undefined,
    damaged: false,
  };
  const ports = {
    store: new RunStore(tempRoot().runs),
    runs: { get: () => undefined },
    upSince: () => minute(600),
    lastJump: () => undefined,
  } as unknown as DeciderPorts;
  const slot = Date.UTC(2026, 10, 23, 11, 56);
  const outcomes = new SlotDecider(view, ports, loaded.schedules).decide(slot - 1, slot + lateMs);
  expect(outcomes.map((one) => (one.kind === "line" ? one.event.type : one.kind))).toEqual([type]);
});

it("is no jump of the clock where there was none", () => {
  expect(becauseOf(undefined)).toBe(LATE);
});

it("is the jump that passed over it", () => {
  expect(becauseOf({ from: minute(5), to: minute(3) })).toEqual(JUMPED);
});

it.each([
  ["long before it", { from: minute(300), to: minute(200) }],
  ["to the moment up to which all was decided", { from: minute(9), to: minute(5) }],
  ["after it", { from: minute(1), to: minute(0) }],
  ["that was over before it was due", { from: minute(4.9), to: minute(4.6) }],
])("is no jump %s", (_when, jump) => {
  expect(becauseOf(jump)).toBe(LATE);
});

it("is the downtime before the daemon came up, whatever the clock did", () => {
  expect(becauseOf({ from: minute(5), to: minute(3) }, minute(4))).toMatch(/^no daemon was up/);
});

it("a run waits by its slot's time, whenever jitter made it due", () => {
  const params = { day: 7 };
  const schedule = scheduleOf({
    cron: "*/10 * * * *",
    catchUp: "all",
    jitterSeconds: 500,
    name: "tens",
    params,
  });
  const loaded = pipelineOf("p", [schedule]);
  const tickets: RunTicket[] = [];
  const ports = {
    store: new RunStore(tempRoot().runs),
    runs: { get: () => undefined, reserve: (ticket: RunTicket) => tickets.push(ticket) },
    upSince: () => NOW,
    lastJump: () => undefined,
  } as unknown as DeciderPorts;
  const view = {
    name: "p",
    state: emptyPipelineState(),
    loaded,
    without: undefined,
    damaged: false,
  };
  const outcomes = new SlotDecider(view, ports, [schedule]).decide(minute(60), NOW);
  const runs = outcomes.flatMap((one) => (one.kind === "run" ? [one] : []));
  expect(runs.length).toBeGreaterThan(3);
  expect(runs.some(({ slot }) => slot.due > slot.slot)).toBe(true);
  // Each run has the params of its schedule, and says which one that is.
  for (const { header, slot } of runs)
    expect(header).toMatchObject({
      params,
      trigger: {
        kind: "catch_up",
        scheduledFor: new Date(slot.slot).toISOString(),
        schedule: "tens",
      },
    });
  expect(tickets.map(({ order }) => order)).toEqual(runs.map(({ slot }) => slot.slot));
  expect(runs.map(({ latenessMs }) => latenessMs)).toEqual(runs.map(({ slot }) => NOW - slot.due));
  // Many may be caught up, and their headers are written one after the other: each has its time.
  expect(runs.map(({ decidedAt }) => decidedAt)).toEqual(runs.map(() => undefined));
});

it.each<[string, object, object, string]>([
  ["while it is paused", { paused: true }, {}, "slot.skipped: paused"],
  [
    "while it is paused, for a reason",
    { paused: true, pausedBecause: "upkeep" },
    {},
    "slot.skipped: paused: upkeep",
  ],
  ["without a version", {}, { loaded: undefined }, "slot.missed: it has no version in force"],
  [
    "without a version, for a reason",
    {},
    { loaded: undefined, without: "its file is gone" },
    "slot.missed: its file is gone",
  ],
  [
    "while it is paused and has no version",
    { paused: true },
    { loaded: undefined },
    "slot.skipped: paused",
  ],
])("a slot that is due %s is decided with its reason and its names", (_when, state, view, text) => {
  const schedules = [
    scheduleOf({ cron: "56 11 * * *", name: "noon", params: { a: 1 } }),
    scheduleOf({ cron: "56 11 * * *", name: "again", params: { a: 2 } }),
  ];
  const loaded = pipelineOf("p", schedules);
  const whole = {
    name: "p",
    state: { ...emptyPipelineState(), ...state },
    loaded,
    without: undefined,
    damaged: false,
    ...view,
  };
  const ports = {
    store: new RunStore(tempRoot().runs),
    upSince: () => minute(600),
    lastJump: () => undefined,
  } as unknown as DeciderPorts;
  const slot = Date.UTC(2026, 10, 23, 11, 56);
  const outcomes = new SlotDecider(whole, ports, schedules).decide(slot - 1, slot);
  const lines = outcomes.map((one) => (one.kind === "line" ? one.event : undefined)!);
  expect(lines.map(({ type, because }) => `${type}: ${String(because)}`)).toEqual([text, text]);
  expect(lines.map(({ slot: at }) => at)).toEqual(Array(2).fill("2026-11-23T11:56:00.000Z"));
  const named = lines.map((line) => ("schedule" in line ? line.schedule : line.of));
  expect(new Set(named)).toEqual(new Set(["again", "noon"]));
  expect(outcomes.map(({ through }) => through)).toEqual([slot, slot]);
});

/** A decider of a pipeline whose slots come each minute, beside runs that a test plays. */
function deciding(
  more: Partial<LoadedPipeline> = {},
  runs: object = {},
  {
    schedule = {},
    state = {},
    view = {},
    ports = {},
  }: {
    readonly schedule?: object;
    readonly state?: object;
    readonly view?: object;
    readonly ports?: object;
  } = {},
) {
  const schedules = [scheduleOf({ cron: "* * * * *", catchUp: "none", ...schedule })];
  const loaded = pipelineOf("p", schedules, more);
  const reserved: RunTicket[] = [];
  const asked: unknown[] = [];
  const decider = new SlotDecider(
    {
      name: "p",
      state: Object.assign(emptyPipelineState(), state),
      loaded,
      without: undefined,
      damaged: false,
      ...view,
    },
    {
      store: new RunStore(tempRoot().runs),
      runs: {
        get: () => undefined,
        busy: () => ({ running: [], queued: [] }),
        mustWait: () => true,
        waitingFor: () => 0,
        makeRoom: (...given: unknown[]) => void asked.push(given),
        reserve: (ticket: RunTicket, because: string, waits?: string) => {
          reserved.push(ticket);
          return { ticket, because: waits ?? because };
        },
        ...runs,
      },
      upSince: () => minute(600),
      lastJump: () => undefined,
      settings: () => ({ concurrency: { db: { maxQueued: 2 } } }),
      ...ports,
    } as unknown as DeciderPorts,
    schedules,
  );
  /** Each outcome in short: its type and its minute, or its run's. */
  const short = (outcomes: readonly Outcome[]): string[] =>
    outcomes.map((one) =>
      one.kind === "line"
        ? `${one.event.type.slice(5)} ${one.event.slot.slice(14, 16)}`
        : `${one.kind} ${new Date(one.slot.slot).toISOString().slice(14, 16)}`,
    );
  return { decider, reserved, asked, short };
}
const SLOT = Date.UTC(2026, 10, 23, 11, 56);
const SLOT_ID = slotKey(new Date(SLOT).toISOString());

describe("a slot that has a decision", () => {
  it.each([
    ["decided", new Map([[SLOT_ID, "skipped"]])],
    ["firedAhead", new Set([SLOT_ID])],
  ])("in %s has no other, on time or late", (member, value) => {
    for (const until of [SLOT + 60_000, SLOT + 3_600_000]) {
      const { decider, short } = deciding({}, {}, { state: { [member]: value } });
      const minutes = short(decider.decide(SLOT - 1, until)).map((one) => one.slice(-2));
      expect(minutes[0]).toBe("57");
    }
  });

  it("has a run, or one that is going on, and no second one", () => {
    const { decider, short } = deciding({}, { get: () => ({}) });
    expect(short(decider.decide(SLOT - 1, SLOT))).toEqual([]);
  });
});

it("slots before the schedules came into force are none of theirs, on time or late", () => {
  const state = { since: SLOT };
  const late = deciding({}, {}, { schedule: { catchUp: "all" }, state });
  expect(late.short(late.decider.decide(SLOT - 600_000, SLOT + 180_000))[0]).toBe("run 57");
  const { decider, short } = deciding({}, {}, { state });
  expect(short(decider.decide(SLOT - 1, SLOT + 60_000))).toEqual(["run 57"]);
});

describe("slots that were missed while nobody was up", () => {
  const late = { upSince: () => NOW };

  it("end at this moment, where the clock went back below the daemon's start", () => {
    const ports = { upSince: () => SLOT + 3_600_000 };
    const { decider, short } = deciding({}, {}, { ports });
    expect(short(decider.decide(SLOT - 1, SLOT + 60_000))).toEqual(["missed 56", "missed 57"]);
  });

  it("have no second line where they share one", () => {
    const state = { covered: [[SLOT, SLOT + 60_000]] };
    const { decider, short } = deciding({}, {}, { state, ports: late });
    const short56 = short(decider.decide(SLOT - 60_000 - 1, SLOT + 120_000));
    expect(short56).toEqual(["missed 55", "missed 58"]);
  });

  it("share a line where they are old, but for one whose run is there", () => {
    const store = new RunStore(tempRoot().runs);
    const run = "p@20261123T115600Z";
    mkdirSync(store.runDir(run), { recursive: true });
    writeFileSync(store.runLedger(run), "");
    const { decider, short } = deciding(
      {},
      {},
      { schedule: { catchUpWindowMs: 60_000 }, ports: { ...late, store } },
    );
    const outcomes = decider.decide(SLOT - 180_001, SLOT + 240_000);
    expect(short(outcomes)).toEqual([
      "missed 53",
      "adopt 56",
      "missed 57",
      "missed 59",
      "missed 00",
    ]);
    expect(outcomes[0]).toMatchObject({ event: { until: "2026-11-23T11:55:00.000Z" } });
  });
});

describe("slots that only jitter holds back", () => {
  it("are decided early up to this moment, and move no watermark", () => {
    const { decider, short } = deciding({}, {}, { schedule: { jitterSeconds: 300 } });
    const early = decider.decideEarly(SLOT - 600_000, SLOT);
    const slots = early.map((one) => short([one])[0]!);
    // The slot of this very moment is one that has passed.
    expect(slots).toContain("run 56");
    expect(slots).not.toContain("run 57");
    expect(early.every(({ through }) => through === undefined)).toBe(true);
  });

  it("are none where no schedule has jitter", () => {
    expect(deciding().decider.decideEarly(SLOT - 600_000, SLOT)).toEqual([]);
  });
});

describe("what held a slot up", () => {
  const becauses = (outcomes: readonly Outcome[]): unknown[] =>
    outcomes.flatMap((one) =>
      one.kind === "line" && "because" in one.event ? [one.event.because] : [],
    );

  it("is that its pipeline was set aside, where it was due by then", () => {
    const aside = { until: minute(10), because: "its folder was a file" };
    const ports = { asidePeriod: () => aside };
    const told = (from: number): unknown =>
      becauses(deciding({}, {}, { ports }).decider.decide(from, NOW))[0];
    expect(told(minute(12))).toBe("its folder was a file; catchUp is none");
    expect(told(minute(10))).toBe(LATE);
  });

  it("is that its pipeline was set aside, also where no daemon was up before that", () => {
    const aside = { until: minute(10), because: "its folder was a file" };
    const ports = { asidePeriod: () => aside, upSince: () => minute(20) };
    const outcomes = deciding({}, {}, { ports }).decider.decide(minute(30), NOW);
    expect(becauses(outcomes)[0]).toBe("its folder was a file; catchUp is none");
  });

  it("is not lost by a damage that came while this daemon was up", () => {
    const told = (from: number): unknown =>
      becauses(deciding({}, {}, { view: { damaged: true } }).decider.decide(from, NOW))[0];
    expect(told(minute(601))).toBe("ledger damaged");
    expect(told(minute(600))).toBe(LATE);
  });
});

describe("a run of a group", () => {
  const group = { concurrency: { group: "db", priority: 9 }, priority: 4 };
  it.each([
    [1, true, "run 56"],
    [2, true, "skipped 56"],
    [2, false, "run 56"],
  ])("where %i wait, and it would have to: %s, is: %s", (waiting, mustWait, expected) => {
    const { decider, short } = deciding(group, {
      waitingFor: () => waiting,
      mustWait: () => mustWait,
    });
    expect(short(decider.decide(SLOT - 1, SLOT))).toEqual([expected]);
  });

  it("has the priority in its group, and another run its pipeline's", () => {
    const tickets = [group, { priority: 4 }, {}].map((more) => {
      const { decider, reserved } = deciding(more);
      decider.decide(SLOT - 1, SLOT);
      return reserved[0]!;
    });
    expect(tickets.map(({ priority, group: of }) => [priority, of])).toEqual([
      [9, "db"],
      [4, undefined],
      [0, undefined],
    ]);
    expect(queueTermsOf("p", undefined)).toEqual({
      lane: "p",
      limit: Number.POSITIVE_INFINITY,
      priority: 0,
      group: undefined,
    });
  });
});

it("a run is late by how long its slot was due, and never early", () => {
  const { decider } = deciding();
  const [one] = decider.decide(SLOT - 1, SLOT + 4_000);
  expect(one).toMatchObject({ latenessMs: 4_000, late: false, through: SLOT });
  expect((one as { decidedAt: string }).decidedAt).toBe("2026-11-23T11:56:04.000Z");
  const early = deciding({}, {}, { schedule: { jitterSeconds: 300 } }).decider;
  for (const each of early.decideEarly(SLOT - 600_000, SLOT))
    expect((each as { latenessMs: number }).latenessMs).toBeGreaterThanOrEqual(0);
});

it.each([{}, { shadow: true }])("a schedule has the runs that it may have, with %j", (more) => {
  const { decider, short } = deciding(more, {}, { schedule: { stopAfter: 2 } });
  const type = "shadow" in more ? "fired" : "run";
  expect(short(decider.decide(SLOT - 1, SLOT + 60_000))).toEqual([`${type} 56`, `${type} 57`]);
  expect(decider.nextDue(SLOT + 60_000)).toBeUndefined();
  expect(decider.decide(SLOT + 60_000, SLOT + 120_000)).toEqual([]);
});

it("a schedule that is put in force again has the runs that its pipeline's state counts", () => {
  const state = emptyPipelineState();
  const { decider, short } = deciding({}, {}, { schedule: { stopAfter: 2 }, view: { state } });
  decider.decide(SLOT - 1, SLOT + 60_000);
  expect(decider.nextDue(SLOT + 60_000)).toBeUndefined();
  // The clock went back, or the runs of an older text were counted.
  state.ran = { [scheduleKey(decider.schedules[0]!)]: 1 };
  decider.reset(decider.schedules);
  expect(short(decider.decide(SLOT + 60_000, SLOT + 180_000))).toEqual(["run 58"]);
});

it("the run of a slot has its version, its group and all params, given or not", () => {
  const more = { params: { a: 1, b: "y" }, tags: ["t"], concurrency: { group: "db" } } as never;
  const headers = [{ params: { b: "x" } }, { params: { a: 2, b: "x" } }].map((schedule) => {
    const { decider } = deciding(more, { mustWait: () => false }, { schedule });
    const [one] = decider.decide(SLOT - 1, SLOT);
    return one?.kind === "run" ? one.header : one;
  });
  expect(headers.map((header) => (header as RunHeader).params)).toEqual([
    { a: 1, b: "x" },
    { a: 2, b: "x" },
  ]);
  expect(headers[0]).toMatchObject({
    run: "p@20261123T115600Z",
    orchestratorRunId: "p@20261123T115600Z",
    pipeline: "p",
    group: "db",
    tags: ["t"],
    because: "its slot was due",
  });
});

it("a run that waits for its pipeline's other run says so", () => {
  const busy = { running: ["p@1"], queued: [] };
  const { decider } = deciding({ overlap: "queue", maxActiveRuns: 1 }, { busy: () => busy });
  const [one] = decider.decide(SLOT - 1, SLOT);
  expect(one).toMatchObject({
    kind: "run",
    entry: { because: "run p@1 still goes on; overlap is queue" },
  });
});

it("a slot is skipped where as many runs wait as may", () => {
  const queued = Array.from({ length: 3 }, (_, n) => `p@${n + 2}`);
  const waiting = (maxQueuedRuns: number) => {
    const busy = { running: ["p@1"], queued };
    const more = { overlap: "queue_all", maxActiveRuns: 1, maxQueuedRuns } as const;
    const { decider, short } = deciding(more, { busy: () => busy });
    return short(decider.decide(SLOT - 1, SLOT));
  };
  expect([waiting(4), waiting(3)]).toEqual([["run 56"], ["skipped 56"]]);
});

it("a newer run that replaces an older one says so, and asks for its room", () => {
  const { decider, asked } = deciding(
    { overlap: "cancel", maxActiveRuns: 1 },
    { busy: () => ({ running: ["p@1"], queued: [] }) },
  );
  decider.decide(SLOT - 1, SLOT);
  expect(asked).toEqual([
    [
      ["p@1"],
      "graceful",
      "the newer slot 2026-11-23T11:56:00.000Z is due; overlap is cancel",
      "p@20261123T115600Z",
    ],
  ]);
});

describe("a slot that was missed meanwhile", () => {
  it("and lies in a blackout is skipped, named as it is, where its others run", () => {
    const blackout = [{ from: "2026-11-23T11:56:00Z", to: "2026-11-23T11:57:00Z" }];
    const { decider, short } = deciding(
      {},
      {},
      { schedule: { catchUp: "all", name: "each", blackout }, ports: { upSince: () => NOW } },
    );
    const outcomes = decider.decide(SLOT - 60_000, SLOT + 120_000);
    expect(short(outcomes)).toContain("skipped 56");
    const [skipped] = outcomes.flatMap((one) => (one.kind === "line" ? [one] : []));
    expect(skipped).toMatchObject({
      through: SLOT,
      event: { slot: "2026-11-23T11:56:00.000Z", of: "each" },
    });
    expect(String(skipped!.event.because)).toMatch(/blackout/);
  });
});

it("a slot whose params do not fit is missed with the reason, and counts for no run", () => {
  const template = snapshotOf([stepSpec("only", { params: { v: "${params.b}" } })]);
  const schedule = { name: "each", params: { a: 1 }, stopAfter: 1 };
  const { decider, reserved } = deciding({ template }, {}, { schedule });
  const [first, second] = [decider.decide(SLOT - 1, SLOT), decider.decide(SLOT, SLOT + 60_000)];
  const because = `param "b" has no value; give one with the run or as the pipeline's default`;
  expect(first).toMatchObject([
    { kind: "line", through: SLOT, event: { type: "slot.missed", schedule: "each", because } },
  ]);
  expect(second).toHaveLength(1);
  expect(reserved).toEqual([]);
});

describe("very many slots", () => {
  const HOUR = 3_600_000;
  /** A decider of its own for each way, over the same state. */
  const deciderOf = (schedules: readonly Schedule[], runs: string[]): SlotDecider =>
    new SlotDecider(
      {
        name: "p",
        state: emptyPipelineState(),
        loaded: pipelineOf("p", schedules),
        without: undefined,
        damaged: false,
      },
      {
        store: new RunStore(tempRoot().runs),
        runs: {
          get: () => undefined,
          busy: () => ({ running: [], queued: [] }),
          mustWait: () => false,
          reserve: ({ run }: RunTicket) => runs.push(run),
        },
        settings: () => DEFAULT_SETTINGS,
        upSince: () => NOW - 10_000,
        lastJump: () => undefined,
      } as unknown as DeciderPorts,
      schedules,
    );

  it.each([
    ["of one schedule", [scheduleOf({ cron: "*/10 * * * * *" })], 9],
    ["that all run", [scheduleOf({ cron: "* * * * *", catchUp: "all" })], 24],
    ["older than their window", [scheduleOf({ cron: "* * * * *", catchUpWindowMs: 6 * HOUR })], 30],
    [
      "due at the same moments, with jitter",
      [
        scheduleOf({ cron: "* * * * *", jitterSeconds: 50, name: "a", params: { n: 1 } }),
        scheduleOf({ cron: "*/2 * * * *", catchUp: "all", name: "b", params: { n: 2 } }),
        scheduleOf({ cron: "*/3 * * * *", stopAfter: 5, catchUp: "all" }),
      ],
      12,
    ],
  ])("%s are decided in steps as they are at once", (_, schedules, hours) => {
    const from = NOW - hours * HOUR;
    const [atOnce, inSteps]: [string[], string[]] = [[], []];
    const whole = deciderOf(schedules, atOnce).decide(from, NOW);
    const steps = [...deciderOf(schedules, inSteps).decideInSteps(from, NOW)].filter(
      ({ length }) => length > 0,
    );
    const plain = (outcomes: readonly Outcome[]): unknown =>
      outcomes.map((one) => ({ ...one, entry: undefined }));
    expect(plain(steps.flat())).toEqual(plain(whole));
    expect(inSteps).toEqual(atOnce);
    expect(steps.length).toBeGreaterThan(1);
    for (const [index, step] of steps.slice(1).entries()) {
      // What is due at one moment is one write.
      expect(step[0]!.through).toBeGreaterThan(steps[index]!.at(-1)!.through!);
      expect(steps[index]!.length).toBeGreaterThanOrEqual(MOST_AT_ONCE);
      expect(steps[index]!.length).toBeLessThan(2 * MOST_AT_ONCE);
    }
  });

  it("give way to others though none of them is to be told", () => {
    const schedule = scheduleOf({ cron: "* * * * * *", catchUp: "none" });
    const decider = deciderOf([schedule], []);
    const steps = [...decider.decideInSteps(NOW - 2 * HOUR, NOW)];
    // Before the first line, all of them are found and counted.
    expect(steps.findIndex(({ length }) => length > 0)).toBeGreaterThan(10);
  });

  it("are more than 250 that are late", () => {
    const decider = deciderOf([scheduleOf({ cron: "* * * * * *" })], []);
    const late = NOW - 10_000;
    expect(decider.decideIfFew(late - MOST_AT_ONCE * 1_000, NOW)).toHaveLength(MOST_AT_ONCE + 10);
    expect(decider.decideIfFew(late - (MOST_AT_ONCE + 1) * 1_000, NOW)).toBeUndefined();
    expect(decider.decideIfFew(late, NOW)).toHaveLength(10);
  });

  it("have the runs that are there already, as few have", () => {
    const schedule = scheduleOf({ cron: "* * * * * *" });
    const store = new RunStore(tempRoot().runs);
    const run = "p@20261123T115900Z";
    mkdirSync(store.runDir(run), { recursive: true });
    writeFileSync(store.runLedger(run), "");
    const decider = new SlotDecider(
      {
        name: "p",
        state: emptyPipelineState(),
        loaded: pipelineOf("p", [schedule], { shadow: true }),
        without: undefined,
        damaged: false,
      },
      {
        store,
        runs: { get: () => undefined },
        upSince: () => NOW,
        lastJump: () => undefined,
      } as unknown as DeciderPorts,
      [schedule],
    );
    for (const from of [NOW - 3 * HOUR, NOW - 120_000])
      expect(decider.decide(from, NOW).filter(({ kind }) => kind === "adopt")).toMatchObject([
        { run },
      ]);
  });
});
