/** In which writes decisions on slots go to the ledger, with which watermarks, and after what. */
import { mkdirSync, rmSync } from "node:fs";
import { describe, expect, it, vi } from "vitest";
import type { PipelineEvent, RunHeader } from "../../src/core/event.ts";
import type { LoadedPipeline } from "../../src/core/loaded-pipeline.ts";
import type { DueSlot } from "../../src/core/schedule/schedule.ts";
import type { ActiveRun } from "../../src/engine/active-runs.ts";
import type { Burst } from "../../src/engine/burst.ts";
import type { ClockStep } from "../../src/engine/scheduler.ts";
import type { Outcome } from "../../src/engine/slot-decider.ts";
import { SlotRecorder, type RecorderPorts } from "../../src/engine/slot-recorder.ts";
import { LedgerBlocked } from "../../src/ledger/ledger-error.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { silentLog } from "../../src/log.ts";
import type { CreateOptions } from "../../src/run/open-run.ts";
import { header, writePipeline, writeRun } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const START = Date.UTC(2026, 10, 23, 2);
const iso = (ms: number): string => new Date(ms).toISOString();
const minute = (n: number): number => START + n * 60_000;

class Rig {
  /** What was done, in order: `make RUN`, `attach RUN`, `write N`, `record RUN`, `drop RUN`. */
  readonly done: string[] = [];
  readonly writes: (readonly PipelineEvent[])[] = [];
  readonly failing = new Map<string, unknown>();
  readonly missed: [unknown, readonly PipelineEvent[]][] = [];
  readonly blocked: string[] = [];
  readonly said: string[] = [];
  readonly decidedAt: (string | undefined)[] = [];
  readonly waiting = new Set<string>();
  jump: ClockStep | undefined;
  burst: Burst | undefined;
  loaded: LoadedPipeline | undefined = { name: "p" } as LoadedPipeline;
  readonly recorder: SlotRecorder;

  constructor() {
    const { done } = this;
    const ports = {
      maker: {
        create: async ({ run }: RunHeader, { decidedAt, durable }: CreateOptions) => {
          done.push(`make ${run}`);
          this.decidedAt.push(decidedAt);
          await new Promise((resolve) => void setImmediate(resolve));
          if (this.failing.has(run)) throw this.failing.get(run);
          await durable?.();
          return {};
        },
      },
      runs: {
        attach: ({ ticket }: ActiveRun) => void done.push(`attach ${ticket.run}`),
        record: ({ ticket }: ActiveRun) => void done.push(`record ${ticket.run}`),
        drop: ({ ticket }: ActiveRun) => void done.push(`drop ${ticket.run}`),
      },
      log: { ...silentLog, error: (_: object, text: string) => void this.said.push(text) },
      burst: () => this.burst,
      lastJump: () => this.jump,
      onBlocked: (_: string, run: string) => void this.blocked.push(run),
      onMissed: (loaded: unknown, lines: readonly PipelineEvent[]) =>
        void this.missed.push([loaded, lines]),
    } as unknown as RecorderPorts;
    const view = {
      name: "p",
      loaded: undefined as LoadedPipeline | undefined,
      append: async (events: readonly PipelineEvent[]) => {
        done.push(`write ${events.length}`);
        this.writes.push(events);
        await Promise.resolve();
      },
    };
    Object.defineProperty(view, "loaded", { get: () => this.loaded });
    this.recorder = new SlotRecorder(view, ports);
  }

  run(n: number, through: number | undefined, more: object = {}): Outcome {
    const run = `p@${n}`;
    const going = !this.waiting.has(run);
    return {
      kind: "run",
      through,
      slot: { slot: minute(n), due: minute(n), schedule: {} } as DueSlot,
      header: { run, trigger: { kind: "schedule" } } as RunHeader,
      entry: { ticket: { run }, going, because: "another goes on" } as unknown as ActiveRun,
      late: false,
      latenessMs: 3,
      decidedAt: iso(START),
      ...more,
    };
  }

  /** The watermarks of the lines of slots, write by write. */
  marks(): (string | undefined)[][] {
    return this.writes.map((lines) =>
      lines
        .filter(({ type }) => type.startsWith("slot."))
        .map((line) => (line as { through?: string }).through?.slice(14, 19)),
    );
  }
}

const line = (type: "slot.skipped" | "slot.missed", n: number, through = minute(n)): Outcome => ({
  kind: "line",
  through,
  event: { type, slot: iso(minute(n)), because: "so" },
});

const LATE = minute(10_000);

it("a run's ledger is made, then its slot's line is written, and then its end may be", async () => {
  const rig = new Rig();
  await rig.recorder.record([rig.run(1, minute(1))], LATE);
  expect(rig.done).toEqual(["make p@1", "attach p@1", "write 2", "record p@1"]);
  expect(rig.writes[0]).toEqual([
    {
      type: "slot.fired",
      slot: iso(minute(1)),
      run: "p@1",
      because: "its slot was due",
      latenessMs: 3,
      through: iso(minute(1)),
    },
    { type: "run.started", run: "p@1", trigger: "schedule" },
  ]);
  expect(rig.decidedAt).toEqual([iso(START)]);
});

it("a run that waits says why, and one that is caught up is told so with its reason", async () => {
  const rig = new Rig();
  rig.waiting.add("p@1");
  const header = { run: "p@2", trigger: { kind: "catch_up" }, because: "no daemon was up" };
  await rig.recorder.record(
    [rig.run(1, minute(1)), rig.run(2, minute(2), { late: true, header, decidedAt: undefined })],
    LATE,
  );
  expect(rig.writes[0]).toMatchObject([
    { type: "slot.fired", run: "p@1" },
    { type: "slot.caught_up", run: "p@2", because: "no daemon was up" },
    { type: "run.queued", run: "p@1", because: "another goes on" },
    { type: "run.started", run: "p@2", trigger: "catch_up" },
  ]);
  expect(rig.decidedAt).toEqual([iso(START), undefined]);
});

it("of lines with one watermark the last carries it, and none is ahead of the clock", async () => {
  const rig = new Rig();
  const outcomes = [
    line("slot.skipped", 1, minute(3)),
    line("slot.missed", 2, minute(3)),
    line("slot.skipped", 3, minute(3)),
    line("slot.skipped", 4, minute(4)),
    { ...line("slot.skipped", 5), through: undefined },
    line("slot.skipped", 6, minute(6)),
    line("slot.skipped", 9, minute(9)),
  ];
  await rig.recorder.record(outcomes, minute(8));
  expect(rig.marks()).toEqual([
    [undefined, undefined, "02:03", "02:04", undefined, "02:06", "02:08"].map((mark) =>
      mark?.slice(3).concat(":00"),
    ),
  ]);
});

it("250 slots are one write; those with the last one's watermark are in it too", async () => {
  const sizes = async (outcomes: readonly Outcome[]): Promise<number[]> => {
    const rig = new Rig();
    await rig.recorder.record(outcomes, LATE);
    return rig.writes.map(({ length }) => length);
  };
  const many = (count: number, from = 1): Outcome[] =>
    Array.from({ length: count }, (_, n) => line("slot.skipped", from + n));
  expect(await sizes(many(250))).toEqual([250]);
  expect(await sizes(many(251))).toEqual([250, 1]);
  expect(await sizes(many(600))).toEqual([250, 250, 100]);
  const same = Array.from({ length: 300 }, (_, n) => line("slot.skipped", n, minute(1)));
  expect(await sizes(same)).toEqual([300]);
  expect(
    await sizes([...many(249), ...many(3).map((one) => ({ ...one, through: minute(300) }))]),
  ).toEqual([252]);
  expect(await sizes([...same, ...many(1, 301)])).toEqual([300, 1]);
  expect(await sizes([])).toEqual([]);
});

it("a second write waits for the first", async () => {
  const rig = new Rig();
  const outcomes = Array.from({ length: 251 }, (_, n) => rig.run(n, minute(n)));
  await rig.recorder.record(outcomes, LATE);
  expect(rig.done.indexOf("make p@250")).toBeGreaterThan(rig.done.indexOf("write 500"));
});

it("a slot whose run cannot be made is missed with the reason, and no other is", async () => {
  const rig = new Rig();
  rig.failing.set("p@1", new Error("no luck"));
  const blocked = new LedgerBlocked("/x", Object.assign(new Error("x"), { code: "ENOTDIR" }));
  rig.failing.set("p@2", blocked);
  await rig.recorder.record(
    [1, 2, 3].map((n) => rig.run(n, minute(n))),
    LATE,
  );
  const lines = rig.writes[0]!;
  expect(lines.map(({ type }) => type)).toEqual([
    "slot.missed",
    "slot.missed",
    "slot.fired",
    "run.started",
  ]);
  expect(lines.slice(0, 2).map((one) => (one as { because?: string }).because)).toEqual([
    "its run could not be made: no luck",
    `its run could not be made: ${blocked.message}`,
  ]);
  expect(rig.done.filter((what) => what.startsWith("drop"))).toEqual(["drop p@1", "drop p@2"]);
  expect(rig.said).toEqual(["a run could not be made: its run could not be made"]);
  expect(rig.blocked).toEqual(["p@2"]);
  expect(rig.missed).toEqual([[rig.loaded, lines.slice(0, 2)]]);
});

it("nobody is told of slots that were skipped, or missed without a version in force", async () => {
  const rig = new Rig();
  await rig.recorder.record([line("slot.skipped", 1)], LATE);
  rig.loaded = undefined;
  await rig.recorder.record([line("slot.missed", 2)], LATE);
  expect(rig.missed).toEqual([]);
});

it("a jump of the clock is told once, with the first slot that it passed over", async () => {
  const rig = new Rig();
  rig.jump = { from: minute(10), to: minute(20) };
  const told = async (...outcomes: Outcome[]): Promise<boolean> => {
    await rig.recorder.record(outcomes, LATE);
    return rig.writes.at(-1)![0]!.type === "clock.stepped";
  };
  expect(await told(line("slot.missed", 10))).toBe(false);
  expect(await told(line("slot.missed", 21))).toBe(false);
  expect(await told({ ...line("slot.missed", 15), through: undefined })).toBe(false);
  expect(await told(line("slot.missed", 20))).toBe(true);
  expect(rig.writes.at(-1)![0]).toEqual({
    type: "clock.stepped",
    from: iso(minute(10)),
    to: iso(minute(20)),
    because: "the clock jumped ahead: it was set, or the machine slept",
  });
  expect(await told(line("slot.missed", 15))).toBe(false);
  rig.jump = { from: minute(30), to: minute(40) };
  expect(await told(line("slot.missed", 1), line("slot.missed", 31))).toBe(true);
});

it("the runs of a burst wait for their turn, and go on when all are made", async () => {
  const rig = new Rig();
  let decide: () => void = () => undefined;
  let end: () => void = () => undefined;
  const turnComes = new Promise<void>((resolve) => (decide = resolve));
  const over = new Promise<void>((resolve) => (end = resolve));
  rig.burst = {
    join: (runs: number, goOn: () => void) => {
      rig.done.push(`join ${runs}`);
      void turnComes.then(goOn);
    },
    leave: () => void rig.done.push("leave"),
    over: () => over,
  } as unknown as Burst;
  rig.failing.set("p@2", new Error("no"));
  const recorded = rig.recorder.record([rig.run(1, minute(1)), rig.run(2, minute(2))], LATE);
  expect(rig.done).toEqual(["join 2"]);
  decide();
  const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
  for (let n = 0; n < 4; n += 1) await turn();
  expect(rig.done.slice(1)).toEqual(["make p@1", "make p@2", "leave", "drop p@2", "leave"]);
  end();
  await recorded;
  expect(rig.done.slice(6)).toEqual(["attach p@1", "write 3", "record p@1", "record p@2"]);
});

it("of many slots of one pipeline only those of the first write join the burst", async () => {
  const rig = new Rig();
  const joined: number[] = [];
  let left = 0;
  let end: () => void = () => undefined;
  const over = new Promise<void>((resolve) => (end = resolve));
  rig.burst = {
    join: (runs: number, goOn: () => void) => {
      joined.push(runs);
      goOn();
    },
    // As a burst does: the last that joined ends it.
    leave: () => void ((left += 1) === joined[0] && end()),
    over: () => over,
  } as unknown as Burst;
  const slots = Array.from({ length: 600 }, (_, n) => rig.run(n, minute(n)));
  await rig.recorder.record(slots, LATE);
  expect(joined).toEqual([250]);
  expect(rig.writes.map(({ length }) => length)).toEqual([500, 500, 200]);
  rig.burst = { join: () => expect.unreachable() } as unknown as Burst;
  await rig.recorder.record([line("slot.skipped", 700)], LATE);
});

it("a run by hand is made before its line, which is the last of the lines", async () => {
  const rig = new Rig();
  const of = rig.run(1, undefined) as Outcome & { kind: "run" };
  const before: PipelineEvent = { type: "request.noted", requestId: "r", because: "x" };
  await rig.recorder.make(of.entry, { ...of.header, trigger: { kind: "manual", requestId: "r" } }, [
    before,
  ]);
  expect(rig.writes).toEqual([
    [before, { type: "run.started", run: "p@1", trigger: "manual", requestId: "r" }],
  ]);
  rig.failing.set("p@2", new Error("no"));
  const bad = rig.run(2, undefined) as Outcome & { kind: "run" };
  await expect(rig.recorder.make(bad.entry, bad.header)).rejects.toThrow("no");
  expect(rig.writes).toHaveLength(1);
  expect(rig.done.at(-1)).toBe("drop p@2");
});

describe("a slot that has a run already", () => {
  const RUN = "p@20261123T020000Z";
  const slot = { slot: START, due: START, schedule: {} } as DueSlot;
  const adopt: Outcome = { kind: "adopt", through: START, slot, run: RUN };

  function adopting(kind: string, ...lines: object[]) {
    const store = new RunStore(tempRoot().runs);
    const clock = new VirtualClock();
    const done: string[] = [];
    const written: (readonly PipelineEvent[])[] = [];
    writePipeline(store.runsDir, "p", [{ type: "pipeline.loaded" }, ...(lines as never[])]);
    writeRun(store.runsDir, RUN, [{ ...header(RUN, { a: [] }), trigger: { kind } }]);
    const state = { run: RUN, phase: "started", trigger: { kind }, snapshot: { gracePeriodMs: 1 } };
    const recorder = new SlotRecorder(
      {
        name: "p",
        loaded: undefined,
        append: async (events) => {
          done.push(`write ${events.length}`);
          written.push(events);
        },
      },
      {
        store,
        maker: { recover: () => Promise.resolve({ state }) },
        runs: {
          get: () => undefined,
          takeOver: (ticket: object) => ({ ticket, going: true, because: "x" }),
          record: ({ ticket }: ActiveRun) => void done.push(`record ${ticket.run}`),
        },
        log: silentLog,
        burst: () => undefined,
        lastJump: () => undefined,
        clock,
      } as unknown as RecorderPorts,
    );
    const record = (before: readonly Outcome[] = []): Promise<void> =>
      recorder.record([...before, adopt], LATE);
    return { done, written, store, clock, record };
  }

  it.each([
    ["schedule", "slot.fired"],
    ["catch_up", "slot.caught_up"],
  ])("by %s gets its line as %s, then the run's, and may end from then on", async (kind, type) => {
    const { done, written, record } = adopting(kind);
    await record();
    expect(written).toEqual([
      [
        {
          type,
          slot: iso(START),
          run: RUN,
          because: "its run was there already: a crash came before this line",
          through: iso(START),
        },
        { type: "run.started", run: RUN, trigger: kind },
      ],
    ]);
    expect(done).toEqual(["write 2", `record ${RUN}`]);
  });

  it("whose name is taken by what is no ledger is missed; a disk may fail", async () => {
    const { written, store, record } = adopting("schedule");
    const ledger = store.runLedger(RUN);
    rmSync(ledger);
    mkdirSync(ledger);
    await record();
    expect(written).toMatchObject([[{ type: "slot.missed", slot: iso(START) }]]);
    expect(written[0]![0]).toHaveProperty(
      "because",
      expect.stringMatching(/^its run's name is taken by what is no ledger: .* is a folder/),
    );
    // Nobody knows whether the slot has its line.
    const failing = adopting("schedule");
    const fault = Object.assign(new Error("the disk fails"), { code: "EIO" });
    vi.spyOn(failing.store, "pipelineDir").mockImplementation(() => {
      throw fault;
    });
    await expect(failing.record()).rejects.toBe(fault);
    expect(failing.written).toEqual([]);
  });

  it("is looked at again where no file can be opened, and others wait with it", async () => {
    const { written, store, clock, record } = adopting("schedule");
    const full = Object.assign(new Error("too many open files"), { code: "EMFILE" });
    vi.spyOn(store, "pipelineDir").mockImplementationOnce(() => {
      throw full;
    });
    const recorded = record([line("slot.skipped", -1)]);
    await clock.settle();
    expect(written).toEqual([]);
    await clock.advance(1_000);
    await recorded;
    expect(written.map((lines) => lines.map(({ type }) => type))).toEqual([
      ["slot.skipped", "slot.fired", "run.started"],
    ]);
  });

  it("and its line has no other, and takes over nothing", async () => {
    const { done, record } = adopting("schedule", { type: "slot.fired", slot: "x", run: RUN });
    await record();
    expect(done).toEqual(["write 0"]);
  });
});
