/** Backfills under the engine: whatever they wait for, they go on when it is there. */
import { existsSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { RequestInput } from "../../src/core/request.ts";
import { iso } from "../../src/core/time.ts";
import { readReply, writeRequest } from "../../src/ledger/requests.ts";
import { silentLog } from "../../src/log.ts";
import { readStatus } from "../../src/views/status-view.ts";
import { linesOf, type Line } from "../support/await-event.ts";
import { EngineRig, pipelineOf, type RigOptions } from "../support/engine-rig.ts";
import { scheduleOf } from "../support/given-schedule.ts";
import { ledgerText } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const HOUR_MS = 3_600_000;
const P = pipelineOf("p", [scheduleOf({ cron: "0 * * * *", catchUp: "none" })]);
/** Four slots, before the clock's beginning. */
const FOUR = {
  type: "backfill",
  pipeline: "p",
  from: "2026-11-22T01:00:00Z",
  to: "2026-11-22T04:00:00Z",
} as const;

async function rigWith(options: Partial<RigOptions> = {}): Promise<EngineRig> {
  const rig = new EngineRig({ runs: tempRoot().runs, ...options });
  await rig.up();
  await rig.drop(P);
  return rig;
}

async function ask(rig: EngineRig, id: string, request: RequestInput): Promise<void> {
  await writeRequest(rig.store.runsDir, request, { id });
  // Time stands still: a run that has begun goes on.
  const until = performance.now() + 10_000;
  while (readReply(rig.store.runsDir, id) === null && performance.now() < until)
    await rig.clock.settle();
}

const backfilled = (rig: EngineRig): number =>
  rig.lines("p").filter(({ type }) => type === "slot.backfilled").length;

const ends = (rig: EngineRig): readonly Line[] =>
  rig.lines("p").filter(({ type }) => type === "backfill.finished");

/** All four slots have a run, and the backfill is over. */
async function expectWhole(rig: EngineRig): Promise<void> {
  // No other run of the pipeline ends meanwhile.
  await rig.clock.advance(HOUR_MS / 2);
  expect(backfilled(rig)).toBe(4);
  // Those that an earlier daemon made are counted, too.
  expect(ends(rig)).toMatchObject([{ because: "4 slots were gone over, 4 runs were made" }]);
  await rig.down();
}

it("a backfill has the slots at both of its ends, and none beyond", async () => {
  const rig = await rigWith();
  await ask(rig, "b1", { ...FOUR, from: "2026-11-22T01:00:00Z", to: "2026-11-22T02:00:00Z" });
  await ask(rig, "b2", { ...FOUR, from: "2026-11-22T03:00:01Z", to: "2026-11-22T04:59:59Z" });
  await rig.clock.advance(60_000);
  const slots = rig
    .lines("p")
    .flatMap(({ type, slot, requestId }) =>
      type === "slot.backfilled" ? [`${String(requestId)} ${String(slot)}`] : [],
    );
  expect(slots.sort()).toEqual([
    "b1 2026-11-22T01:00:00.000Z",
    "b1 2026-11-22T02:00:00.000Z",
    "b2 2026-11-22T04:00:00.000Z",
  ]);
  await rig.down();
});

it("a backfill that is under way is seen in the status of its pipeline", async () => {
  const rig = await rigWith();
  const roots = { schedules: "/nowhere", runs: rig.store.runsDir };
  const seen = () => {
    const read = readStatus(roots, "p", rig.clock.now());
    return read.ok ? read.view.pipelines[0]?.backfills : read;
  };
  expect(seen()).toBeUndefined();
  await ask(rig, "b1", FOUR);
  const { from, to } = FOUR;
  expect(seen()).toEqual([{ id: "b1", from, to, which: "missing" }]);
  await rig.clock.advance(60_000);
  expect(seen()).toBeUndefined();
  await rig.down();
});

it("a backfill is over once the last of its runs has ended", async () => {
  const rig = await rigWith({ script: { durationOf: () => 300_000 } });
  await ask(rig, "b1", { ...FOUR, maxActive: 4 });
  await rig.clock.advance(60_000);
  expect([backfilled(rig), ends(rig).length]).toEqual([4, 0]);
  await rig.clock.advance(300_000);
  expect(ends(rig)).toMatchObject([{ because: "4 slots were gone over, 4 runs were made" }]);
  await rig.down();
});

describe("a backfill makes no run of a slot to come", () => {
  const started = (rig: EngineRig): readonly Line[] =>
    rig.lines("p").filter(({ type }) => type === "backfill.started");

  it("where it begins in the future: it is refused, with the reason", async () => {
    const rig = await rigWith();
    const from = iso(rig.clock.now() + 1);
    await ask(rig, "b1", { ...FOUR, from, to: iso(rig.clock.now() + 9 * HOUR_MS) });
    expect(readReply(rig.store.runsDir, "b1")).toMatchObject({
      accepted: false,
      reason: `a backfill makes runs of past slots, and ${from} lies in the future`,
    });
    await rig.clock.advance(60_000);
    expect([started(rig), backfilled(rig)]).toEqual([[], 0]);
    await rig.down();
  });

  it("where it ends in the future: it ends at now, and says so", async () => {
    const rig = await rigWith();
    const now = rig.clock.now();
    const to = iso(now + 9 * HOUR_MS);
    await ask(rig, "b1", { ...FOUR, from: iso(now - 2 * HOUR_MS), to, maxActive: 99 });
    expect(readReply(rig.store.runsDir, "b1")).toMatchObject({
      accepted: true,
      reason: `its slots end at now, ${iso(now)}: ${to} lies in the future`,
    });
    await rig.clock.advance(60_000);
    expect(started(rig)).toMatchObject([{ to: iso(now) }]);
    for (const { type, slot } of rig.lines("p"))
      if (type === "slot.backfilled") expect(Date.parse(String(slot))).toBeLessThanOrEqual(now);
    expect(backfilled(rig)).toBe(Number(started(rig)[0]!["slots"]));
    await rig.down();
  });

  it("where all of its slots are to come, though it begins in the past", async () => {
    const rig = await rigWith();
    const now = rig.clock.now();
    await rig.clock.advance(HOUR_MS - (now % HOUR_MS) + 60_000);
    const from = iso(rig.clock.now() - 1_000);
    await ask(rig, "b1", { ...FOUR, from, to: iso(rig.clock.now() + 9 * HOUR_MS) });
    expect(readReply(rig.store.runsDir, "b1")).toMatchObject({ accepted: false });
    expect(started(rig)).toEqual([]);
    await rig.down();
  });

  it("but the slot of this very moment is a past one", async () => {
    const rig = await rigWith();
    await rig.clock.advance(HOUR_MS - (rig.clock.now() % HOUR_MS));
    const now = iso(rig.clock.now());
    await ask(rig, "b1", { ...FOUR, from: now, to: now, which: "all" });
    expect(readReply(rig.store.runsDir, "b1")?.reason).toBeUndefined();
    await rig.clock.advance(60_000);
    expect(backfilled(rig)).toBe(1);
    await rig.down();
  });
});

describe("a backfill goes on", () => {
  it("after its pipeline's file was removed and came back", async () => {
    const rig = await rigWith();
    await ask(rig, "b1", FOUR);
    await rig.take("p");
    // Its run ends while there is no version in force.
    await rig.clock.advance(10_000);
    expect(backfilled(rig)).toBe(1);
    await rig.drop(P);
    await expectWhole(rig);
  });

  it("after its last run ended while the file was gone", async () => {
    const rig = await rigWith();
    await ask(rig, "b1", { ...FOUR, to: FOUR.from });
    await rig.take("p");
    await rig.clock.advance(10_000);
    await rig.drop(P);
    await rig.clock.advance(1_000);
    expect(ends(rig)).toHaveLength(1);
    await rig.down();
  });

  it("with the slots it has left, where the file came back with another schedule", async () => {
    const rig = await rigWith();
    await ask(rig, "b1", FOUR);
    await rig.take("p");
    await rig.clock.advance(10_000);
    await rig.drop(pipelineOf("p", [scheduleOf({ cron: "30 5 * * *", catchUp: "none" })]));
    await expectWhole(rig);
  });

  it("where the daemon started without the file, and it came back then", async () => {
    const rig = await rigWith();
    await ask(rig, "b1", FOUR);
    await rig.take("p");
    await rig.clock.advance(10_000);
    await rig.down();
    rig.files.clear();
    await rig.up();
    await rig.clock.advance(10_000);
    expect(ends(rig)).toEqual([]);
    await rig.drop(P);
    await expectWhole(rig);
  });

  it("where the daemon started with a bad file alone, once it is mended", async () => {
    const rig = await rigWith();
    await ask(rig, "b1", FOUR);
    await rig.down();
    await rig.up();
    await rig.take("p");
    await rig.spoil("p");
    await rig.clock.advance(10_000);
    await rig.drop(P);
    await expectWhole(rig);
  });

  it("while its pipeline is paused, and after it is resumed", async () => {
    const rig = await rigWith();
    await ask(rig, "pause", { type: "pause", pipeline: "p" });
    await ask(rig, "b1", { ...FOUR, maxActive: 2 });
    await rig.clock.advance(1_500);
    await ask(rig, "resume", { type: "resume", pipeline: "p" });
    await expectWhole(rig);
  });

  it("once for each slot, where it was asked for while no daemon was up", async () => {
    const rig = await rigWith();
    await rig.down();
    await writeRequest(rig.store.runsDir, { ...FOUR, which: "all" }, { id: "b1" });
    await rig.up();
    await expectWhole(rig);
  });

  it.each([
    ["all", 4],
    ["missing", 0],
    ["failed", 0],
  ] as const)(
    "once for each slot over two restarts: of four that completed, %s are %i",
    async (which, count) => {
      const rig = await rigWith();
      await ask(rig, "b0", FOUR);
      await rig.clock.advance(10_000);
      expect(backfilled(rig)).toBe(4);
      await ask(rig, "b1", { ...FOUR, which });
      for (let restart = 0; restart < 2; restart += 1) {
        await rig.clock.advance(500);
        await rig.kill();
        await rig.up();
        await rig.clock.advance(1_000);
      }
      await rig.clock.advance(20_000);
      const own = rig.lines("p").filter(({ requestId }) => requestId === "b1");
      const slots = own.flatMap(({ type, slot }) => (type === "slot.backfilled" ? [slot] : []));
      expect(slots).toHaveLength(count);
      expect(new Set(slots).size).toBe(slots.length);
      const because = `4 slots were gone over, ${count} runs were made`;
      expect(own.filter(({ type }) => type === "backfill.finished")).toMatchObject([{ because }]);
      await rig.down();
    },
  );

  it("after its file was bad for a while", async () => {
    const rig = await rigWith();
    await ask(rig, "b1", FOUR);
    await rig.spoil("p");
    await rig.clock.advance(1_500);
    await rig.drop(P);
    await expectWhole(rig);
  });

  it("after a limit of all runs held it up", async () => {
    const rig = await rigWith({ settings: { maxActiveRuns: 1 } });
    await rig.drop(pipelineOf("q", [], { overlap: "allow" }));
    await ask(rig, "q1", { type: "submit", pipeline: "q" });
    await ask(rig, "b1", FOUR);
    await expectWhole(rig);
  });

  it("after a trouble that passes by itself", async () => {
    const errors: string[] = [];
    const log = { ...silentLog, error: (_: object, text: string) => void errors.push(text) };
    const rig = await rigWith({ log });
    await ask(rig, "b1", FOUR);
    const make = rig.runs.create.bind(rig.runs);
    rig.runs.create = () => Promise.reject(new Error("no descriptor is left"));
    await rig.clock.advance(10_000);
    expect(errors.filter((text) => text.startsWith("a backfill cannot go on"))).toHaveLength(1);
    rig.runs.create = make;
    await expectWhole(rig);
  });
});

describe("what a backfill is asked for", () => {
  const reply = (rig: EngineRig, id = "b1") => readReply(rig.store.runsDir, id)!;
  const secondly = pipelineOf("p", [scheduleOf({ cron: "* * * * * *", catchUp: "none" })]);

  it.each([
    [100_000, { accepted: true, result: { slots: 100_000 } }],
    [
      100_001,
      {
        accepted: false,
        reason:
          "more than 100000 slots lie from 2026-11-20T00:00:00Z to 2026-11-21T03:46:40.000Z; " +
          "ask for them in parts",
      },
    ],
  ])("of %i slots", async (count, answer) => {
    const rig = await rigWith();
    await rig.drop(secondly);
    const from = "2026-11-20T00:00:00Z";
    const to = iso(Date.parse(from) + (count - 1) * 1_000);
    await ask(rig, "b1", { ...FOUR, from, to });
    expect(reply(rig)).toMatchObject(answer);
    await rig.kill();
  });

  it.each([
    [
      { from: "2026-11-22T02:00:00Z", to: "2026-11-22T01:00:00Z" },
      "the backfill ends before it begins: 2026-11-22T02:00:00Z to 2026-11-22T01:00:00Z",
    ],
    [
      { from: "2026-11-22T01:00:01Z", to: "2026-11-22T01:59:59Z" },
      'pipeline "p" has no slot from 2026-11-22T01:00:01Z to 2026-11-22T01:59:59Z',
    ],
  ])("is refused for %j", async (window, reason) => {
    const rig = await rigWith();
    await ask(rig, "b1", { ...FOUR, ...window });
    expect(reply(rig)).toMatchObject({ accepted: false, reason });
    await rig.down();
  });

  it("is the slots between, however late jitter makes each", async () => {
    const rig = await rigWith();
    const jittered = scheduleOf({ cron: "0 * * * *", catchUp: "none", jitterSeconds: 7_200 });
    await rig.drop(pipelineOf("p", [jittered]));
    await ask(rig, "b1", FOUR);
    await expectWhole(rig);
    const hours = rig
      .lines("p")
      .flatMap(({ type, slot }) =>
        type === "slot.backfilled" ? [String(slot).slice(11, 13)] : [],
      );
    expect(hours).toEqual(["01", "02", "03", "04"]);
  });

  it("is one schedule, whose params are below those that are given", async () => {
    const rig = await rigWith();
    const schedules = ["a", "b"].map((name) =>
      scheduleOf({ cron: "0 * * * *", catchUp: "none", name, params: { name, depth: 1 } }),
    );
    await rig.drop(pipelineOf("p", schedules, { params: { depth: 0, other: 5 } }));
    await ask(rig, "b1", { ...FOUR, to: FOUR.from, schedule: "b", params: { depth: 2 } });
    await rig.clock.advance(10_000);
    const made = rig.lines("p").filter(({ type }) => type === "slot.backfilled");
    expect(made).toHaveLength(1);
    const [header] = linesOf(rig.store.runLedger(String(made[0]!["run"])));
    expect(header).toMatchObject({
      params: { name: "b", depth: 2 },
      trigger: { kind: "backfill", scheduledFor: "2026-11-22T01:00:00.000Z", schedule: "b" },
    });
    await rig.down();
  });

  it("says what nothing reads", async () => {
    const rig = await rigWith();
    await ask(rig, "b1", { ...FOUR, params: { x: 1 } });
    expect(reply(rig)).toMatchObject({
      accepted: true,
      reason: 'pipeline p declares no params, so nothing reads "x"',
      result: { slots: 4 },
    });
    await ask(rig, "b2", FOUR);
    expect(reply(rig, "b2").reason).toBeUndefined();
    await rig.down();
  });
});

describe("a slot that got its run since a backfill began", () => {
  const slotsOf = (rig: EngineRig): string[] =>
    rig
      .lines("p")
      .flatMap(({ type, slot }) => (type === "slot.backfilled" ? [String(slot)] : []))
      .toSorted();

  it("is missing no more: two backfills of it make one run", async () => {
    const rig = await rigWith({ script: { durationOf: () => 60_000 } });
    await ask(rig, "b1", FOUR);
    await ask(rig, "b2", FOUR);
    await rig.clock.advance(10 * 60_000);
    expect(ends(rig)).toHaveLength(2);
    expect(slotsOf(rig)).toEqual(["01", "02", "03", "04"].map((h) => `2026-11-22T${h}:00:00.000Z`));
    await rig.down();
  });

  it("is missing no more where two backfills come to it at once", async () => {
    const rig = await rigWith();
    for (const id of ["b1", "b2", "b3"]) await writeRequest(rig.store.runsDir, FOUR, { id });
    await rig.clock.advance(60_000);
    expect(ends(rig)).toHaveLength(3);
    expect(slotsOf(rig)).toHaveLength(4);
    await rig.down();
  });

  it("has not failed any more, once its run is run again", async () => {
    const rig = await rigWith({ script: { durationOf: () => 60_000 } });
    await rig.drop(pipelineOf("p", P.schedules, { overlap: "allow" }));
    await ask(rig, "b0", { ...FOUR, maxActive: 4 });
    const [, , , fourth] = rig.runs.started;
    for (const [at, run] of rig.runs.started.entries())
      await ask(rig, `s${at}`, { type: "stop", run, mode: "graceful" });
    await rig.clock.advance(1_000);
    await ask(rig, "b1", { ...FOUR, which: "failed" });
    writeFileSync(
      rig.store.runLedger(`${fourth}-r1`),
      ledgerText(
        linesOf(rig.store.runLedger(fourth!)).map(({ seq: _s, b: _b, crc: _c, ...event }) =>
          event["type"] === "run.finished" ? { ...event, status: "completed" } : event,
        ),
      ),
    );
    await rig.clock.advance(10 * 60_000);
    expect(ends(rig)).toHaveLength(2);
    expect(slotsOf(rig).map((slot) => slot.slice(11, 13))).toEqual(
      ["01", "01", "02", "02", "03", "03", "04"], // once by b0, and all but the last by b1
    );
    await rig.down();
  });
});

it("a backfill of failed slots goes by the newest run of each", async () => {
  const rig = await rigWith();
  await ask(rig, "b0", FOUR);
  await rig.clock.advance(10_000);
  const runs = rig.lines("p").flatMap(({ type, run }) => (type === "slot.backfilled" ? [run] : []));
  // The first run of 01:00 failed and its re-run did not; that of 02:00 is the other way round.
  const end = (run: string, status: string, madeAt: string): void => {
    const path = rig.store.runLedger(run);
    const text = readFileSync(rig.store.runLedger(String(runs[0])), "utf8");
    if (!existsSync(path)) writeFileSync(path, "");
    const events = linesOf(rig.store.runLedger(String(runs[0]))).map(
      ({ seq: _s, b: _b, crc: _c, ...event }) =>
        event["type"] === "run.finished"
          ? { ...event, status }
          : event["type"] === "run.submitted"
            ? { ...event, at: madeAt }
            : event,
    );
    expect(text).not.toBe("");
    writeFileSync(path, ledgerText(events));
    // Its file was written as long before: an old run may end last, and a copy has another time.
    const writtenAt = 2_000_000_000 - Date.parse(madeAt) / 1_000;
    utimesSync(path, writtenAt, writtenAt);
  };
  const [one, two] = [String(runs[0]), String(runs[1])];
  const [oneAgain, twoAgain] = [one, two].map((run) => run.replace(/-b1$/, "-b2"));
  end(oneAgain!, "completed", "2026-11-23T05:00:00.000Z");
  end(twoAgain!, "failed", "2026-11-23T05:00:00.000Z");
  end(two, "completed", "2026-11-23T04:00:00.000Z");
  end(one, "failed", "2026-11-23T04:00:00.000Z");
  await ask(rig, "b1", { ...FOUR, which: "failed" });
  await rig.clock.advance(10_000);
  const own = rig.lines("p").filter(({ requestId }) => requestId === "b1");
  expect(own.flatMap(({ type, slot }) => (type === "slot.backfilled" ? [slot] : []))).toEqual([
    "2026-11-22T02:00:00.000Z",
  ]);
  await rig.down();
});

it("a cancel is kept: asked for again after a crash, it is done already", async () => {
  const rig = await rigWith();
  await ask(rig, "b1", FOUR);
  await ask(rig, "c1", { type: "cancel_backfill", id: "b1" });
  expect(readReply(rig.store.runsDir, "c1")).toMatchObject({ accepted: true });
  await rig.clock.advance(10_000);
  expect(ends(rig).map(({ because }) => because)).toEqual([
    expect.stringMatching(/^cancelled by ./),
  ]);
  expect(backfilled(rig)).toBe(1);
  expect(rig.lines("p").at(-1)).toBeDefined();
  expect(
    rig
      .lines("p")
      .flatMap(({ type, requestId, because }) =>
        type === "request.noted" ? [`${String(requestId)}: ${String(because)}`] : [],
      ),
  ).toEqual(["c1: it ended backfill b1"]);
  await rig.kill();
  rmSync(join(rig.store.requests, "replies", "c1.json"), { force: true });
  await rig.up();
  await ask(rig, "c2", { type: "cancel_backfill", id: "b1" });
  expect(readReply(rig.store.runsDir, "c2")).toMatchObject({
    accepted: false,
    reason: "no backfill b1 is going on",
  });
  await rig.down();
});

it("a cancel left while no daemon was up ends the backfill before it goes on", async () => {
  const rig = await rigWith();
  await ask(rig, "b1", FOUR);
  await rig.kill();
  await writeRequest(rig.store.runsDir, { type: "cancel_backfill", id: "b1" }, { id: "c1" });
  await rig.up();
  await rig.clock.advance(10_000);
  expect(readReply(rig.store.runsDir, "c1")).toMatchObject({ accepted: true });
  expect(backfilled(rig)).toBe(1);
  expect(ends(rig).map(({ because }) => because)).toEqual([
    expect.stringMatching(/^cancelled by ./),
  ]);
  await rig.down();
});
