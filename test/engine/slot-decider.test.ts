/** When a slot is late, and the reason of one that is. */
import { expect, it } from "vitest";
import { emptyPipelineState } from "../../src/core/pipeline-state.ts";
import type { RunTicket } from "../../src/engine/active-runs.ts";
import { SlotDecider, type DeciderPorts } from "../../src/engine/slot-decider.ts";
import type { ClockStep } from "../../src/engine/scheduler.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { pipelineOf } from "../support/engine-rig.ts";
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
