/**
 * One pipeline's desk over a ledger that keeps its lines in memory: which lines each change writes,
 * in which order, what is told then, and what changes nothing.
 */
import { mkdirSync, rmSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { PipelineEvent, RunHeader } from "../../src/core/event.ts";
import type { LoadedPipeline } from "../../src/core/loaded-pipeline.ts";
import { evolvePipeline } from "../../src/core/pipeline-fold.ts";
import { emptyPipelineState } from "../../src/core/pipeline-state.ts";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import { FewAtOnce } from "../../src/engine/few-at-once.ts";
import { PipelineDesk, type DeskPorts } from "../../src/engine/pipeline-desk.ts";
import { LedgerExists } from "../../src/ledger/ledger-error.ts";
import type { PipelineLedger } from "../../src/ledger/pipeline-ledger.ts";
import { RecentlyFired } from "../../src/core/schedule/recently-fired.ts";
import { packSlots } from "../../src/core/schedule/slot-list.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { silentLog } from "../../src/log.ts";
import { pipelineOf } from "../support/engine-rig.ts";
import { scheduleOf } from "../support/given-schedule.ts";
import { writePipeline } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const START = Date.UTC(2026, 10, 23, 2);
const MINUTE_MS = 60_000;
const iso = (ms: number): string => new Date(ms).toISOString();
const minutely = scheduleOf({ cron: "* * * * *" });
const hourly = scheduleOf({ cron: "0 * * * *" });
const BY = { requestId: "q1", by: "cli:ann" };

/** @param before the lines of the earlier daemon */
function rig(before: readonly PipelineEvent[] = []) {
  const clock = new VirtualClock({ start: START });
  const store = new RunStore(tempRoot().runs);
  const state = emptyPipelineState();
  const lines: PipelineEvent[] = [];
  const headers: RunHeader[] = [];
  for (const [n, event] of before.entries())
    evolvePipeline(state, { ...event, seq: n + 1, b: n + 1, at: iso(START) });
  const told: string[] = [];
  const world = {
    /** Why no line can be written. */
    fault: undefined as Error | undefined,
    /** Why no run can be made. */
    makeFault: undefined as Error | undefined,
    held: undefined as Promise<void> | undefined,
    goesOn: true,
  };
  const end = { mark: "end" };
  const ledger = {
    pipeline: "p",
    path: store.pipelineLedger("p"),
    state,
    damage: undefined,
    leftAt: undefined,
    untouchedSince: undefined,
    lastSeq: 0,
    end,
    look: () => void told.push("look"),
    close: async () => void told.push("close"),
    append: async (events: readonly PipelineEvent[]) => {
      await world.held;
      if (world.fault !== undefined) throw world.fault;
      for (const event of events) {
        lines.push(event);
        const seq = lines.length;
        evolvePipeline(state, { ...event, seq, b: seq, at: iso(clock.now()) });
      }
    },
  } as unknown as PipelineLedger;
  const ports = {
    clock,
    log: { ...silentLog, error: (_: object, text: string) => void told.push(text) },
    store,
    maker: {
      create: async (header: RunHeader) => {
        if (world.makeFault !== undefined) throw world.makeFault;
        headers.push(header);
        return {};
      },
    },
    runs: {
      get: () => undefined,
      busy: () => ({ running: [], queued: [] }),
      mustWait: () => false,
      reserve: (ticket: object, because: string) => ({ ticket, going: true, because }),
      attach: () => undefined,
      record: () => undefined,
      drop: () => undefined,
    },
    settings: () => DEFAULT_SETTINGS,
    upSince: () => START,
    lastJump: () => undefined,
    burst: () => undefined,
    tzdata: "2026a",
    fewAtOnce: new FewAtOnce(1),
    goesOn: () => world.goesOn,
    onNext: (_: string, due: number | undefined) =>
      void told.push(`next ${due === undefined ? "never" : iso(due).slice(11, 19)}`),
    onInForce: () => void told.push("in force"),
    onDisturbed: (_: string, because: string) => void told.push(because),
  } as unknown as DeskPorts;
  const desk = new PipelineDesk(ledger, ports);
  const types = (): string[] =>
    lines
      .splice(0)
      .map((line) =>
        "slot" in line ? `${line.type} ${String(line.slot).slice(11, 19)}` : line.type,
      );
  return {
    clock,
    desk,
    end,
    headers,
    lines,
    state,
    store,
    told,
    types,
    world,
    said: () => told.splice(0),
  };
}

type Rig = ReturnType<typeof rig>;
async function inForce(more: Partial<LoadedPipeline> = {}, schedules = [minutely]): Promise<Rig> {
  const there = rig();
  await there.desk.load(pipelineOf("p", schedules, more));
  there.lines.length = there.told.length = 0;
  return there;
}

describe("a version that comes into force", () => {
  it("is told with its schedules, which count from now, and when the next slot is", async () => {
    const { desk, lines, said } = rig();
    expect(desk.without).toBe("its file has not been read yet");
    const loaded = pipelineOf("p", [minutely]);
    await desk.load(loaded);
    expect(lines).toMatchObject([
      {
        type: "pipeline.loaded",
        digest: loaded.digest,
        file: loaded.file,
        tz: "UTC",
        tzdata: "2026a",
        since: iso(START),
        through: iso(START),
      },
    ]);
    expect(said().slice(-2)).toEqual(["next 02:01:00", "in force"]);
    expect([desk.loaded, desk.without]).toEqual([loaded, undefined]);
  });

  it("has no line where it is the one in force, under the same file", async () => {
    const { desk, types, said } = await inForce();
    await desk.load(pipelineOf("p", [minutely]));
    expect(types()).toEqual([]);
    expect(said()).toEqual(["next 02:01:00", "in force"]);
    await desk.load(pipelineOf("p", [minutely], { file: "/nowhere/q.yaml" }));
    expect(types()).toEqual(["pipeline.loaded"]);
  });

  it("has a line where its file was bad meanwhile, though it is the same", async () => {
    const { desk, state, types } = await inForce();
    await desk.invalid(["it is bad"], "/nowhere/p.yaml");
    expect(state.errors).toEqual(["it is bad"]);
    await desk.load(pipelineOf("p", [minutely]));
    expect(types()).toEqual(["pipeline.invalid", "pipeline.loaded"]);
    expect(state.errors).toEqual([]);
  });

  it("with the same schedules keeps the moment from which they count", async () => {
    const { clock, desk, lines } = await inForce();
    await clock.advance(90_000);
    await desk.load(pipelineOf("p", [minutely], { tags: ["new"] }));
    expect(lines.at(-1)).toMatchObject({ type: "pipeline.loaded", since: iso(START) });
    expect(lines.at(-1)).not.toHaveProperty("through");
  });

  it("with other schedules comes after the slots of the old ones", async () => {
    const { clock, desk, lines, said } = await inForce();
    await clock.advance(90_000);
    said();
    await desk.load(pipelineOf("p", [hourly]));
    expect(lines.map(({ type }) => type)).toEqual(["slot.fired", "run.started", "pipeline.loaded"]);
    const at = iso(START + 90_000);
    expect(lines.at(-1)).toMatchObject({ since: at, through: at });
    expect(said().slice(-2)).toEqual(["next 03:00:00", "in force"]);
  });

  it("leaves the slots that are due to the version that it replaces, with its params", async () => {
    const there = await inForce({ tags: ["old"] });
    await there.clock.advance(90_000);
    await there.desk.load(pipelineOf("p", [hourly], { tags: ["new"] }));
    expect(there.headers.map(({ tags }) => tags)).toEqual([["old"]]);
  });

  it("with the same schedules leaves the slots that are due for the next look", async () => {
    const { clock, desk, types } = await inForce();
    await clock.advance(90_000);
    await desk.load(pipelineOf("p", [minutely], { tags: ["new"] }));
    desk.decide();
    await desk.settled();
    expect(types()).toEqual(["pipeline.loaded", "slot.fired 02:01:00", "run.started"]);
  });

  it("after its file was removed counts from now, though it is the same", async () => {
    const { clock, desk, lines, types, said } = await inForce();
    await desk.remove("/nowhere/p.yaml");
    await clock.advance(90_000);
    lines.length = 0;
    await desk.load(pipelineOf("p", [minutely]));
    const at = iso(START + 90_000);
    expect(lines).toMatchObject([{ type: "pipeline.loaded", since: at, through: at }]);
    expect(said().slice(-2)).toEqual(["next 02:02:00", "in force"]);
    expect(types()).toEqual(["pipeline.loaded"]);
  });

  it("that an older release wrote, without what people read, has a line with it", async () => {
    const loaded = pipelineOf("p", [minutely], { tags: ["a"] });
    const { digest, file } = loaded;
    const old = { type: "pipeline.loaded", digest, file, schedules: [minutely], tz: "UTC" };
    const { desk, lines } = rig([old as never]);
    await desk.load(loaded);
    expect(lines).toMatchObject([{ type: "pipeline.loaded", tags: ["a"] }]);
    await desk.load(loaded);
    expect(lines).toHaveLength(1);
  });

  it("counts from now where the clock went back a moment ago, unnoticed", async () => {
    const { clock, desk, lines, said } = await inForce();
    clock.step(-3_600_000);
    await desk.load(pipelineOf("p", [hourly]));
    const at = iso(START - 3_600_000);
    expect(lines).toMatchObject([
      { type: "clock.stepped", from: iso(START), to: at, through: at },
      { type: "pipeline.loaded", since: at, through: at },
    ]);
    expect(said().slice(-2)).toEqual(["next 02:00:00", "in force"]);
  });

  it("of a pipeline that was removed is none: no slot is due", async () => {
    const loaded = { type: "pipeline.loaded", digest: "d", schedules: [minutely], file: "/p.yaml" };
    const through = { type: "slot.skipped", slot: iso(START), through: iso(START), because: "x" };
    const gone = { type: "pipeline.removed", file: "/p.yaml" };
    const there = rig([loaded, through, gone] as never);
    await there.clock.advance(90_000);
    there.desk.decide();
    await there.desk.settled();
    expect([there.types(), there.said()]).toEqual([[], ["next never"]]);
  });

  it("is restored only where it is the one that the ledger knows", async () => {
    const { desk, said } = rig();
    await desk.restore(pipelineOf("p", [minutely]));
    expect([desk.loaded, said()]).toEqual([undefined, []]);
    const there = await inForce();
    const other = pipelineOf("p", [hourly]);
    await there.desk.restore(other);
    expect(there.desk.loaded).not.toBe(other);
    await there.desk.remove("/nowhere/p.yaml");
    there.said();
    await there.desk.restore(other);
    expect([there.desk.loaded, there.said()]).toEqual([undefined, []]);
  });

  it("is restored without a line, and its slots and backfills go on", async () => {
    const there = rig();
    const loaded = pipelineOf("p", [minutely]);
    const { digest, file } = loaded;
    const schedules = [minutely] as never;
    const line = { type: "pipeline.loaded", digest, schedules, file, through: iso(START) };
    await there.desk.append([line as PipelineEvent]);
    there.lines.length = 0;
    await there.desk.restore(loaded);
    expect([there.desk.loaded, there.desk.without]).toEqual([loaded, undefined]);
    expect([there.types(), there.said().at(-1)]).toEqual([[], "in force"]);
  });
});

describe("a file that is bad", () => {
  it("says each fault once, and leaves the version in force", async () => {
    const { desk, types, said } = await inForce();
    for (const errors of [["a"], ["a"], ["b"], ["a", "b"], ["a"]])
      await desk.invalid(errors, "/nowhere/p.yaml");
    expect(types()).toEqual(Array(4).fill("pipeline.invalid"));
    expect(said()).toEqual(Array(5).fill("next 02:01:00"));
    expect(desk.without).toBeUndefined();
  });

  it("is why there is no version, where there was none", async () => {
    const { desk } = rig();
    await desk.invalid(["no steps", "no name"], "/nowhere/p.yaml");
    expect(desk.without).toBe("its file is invalid: no steps");
    await desk.invalid([], "/nowhere/p.yaml");
    expect(desk.without).toBe("its file is invalid: no reason given");
  });

  it("and goes leaves no fault behind, and no line where there was nothing", async () => {
    const there = rig();
    await there.desk.remove("/nowhere/p.yaml");
    expect(there.types()).toEqual([]);
    await there.desk.invalid(["a"], "/nowhere/p.yaml");
    await there.desk.remove("/nowhere/p.yaml");
    expect(there.types()).toEqual(["pipeline.invalid", "pipeline.removed"]);
    await there.desk.invalid(["a"], "/nowhere/p.yaml");
    await there.desk.remove("/nowhere/p.yaml");
    expect(there.types()).toEqual(["pipeline.invalid", "pipeline.removed"]);
    await there.desk.remove("/nowhere/p.yaml");
    expect(there.types()).toEqual([]);
  });
});

it("a file that goes has its due slots decided, and no slot any more", async () => {
  const { clock, desk, types, said } = await inForce();
  await clock.advance(90_000);
  said();
  await desk.remove("/nowhere/p.yaml");
  expect(types()).toEqual(["slot.fired 02:01:00", "run.started", "pipeline.removed"]);
  expect(said().at(-1)).toBe("next never");
  expect([desk.loaded, desk.without]).toEqual([undefined, "its file was removed"]);
  await clock.advance(MINUTE_MS);
  desk.decide();
  await desk.settled();
  expect(types()).toEqual([]);
});

describe("a request to a pipeline", () => {
  it("to pause comes after the due slots, and is noted where it changes nothing", async () => {
    const { clock, desk, lines, types } = await inForce();
    await clock.advance(61_000);
    expect(await desk.setPaused(true, BY)).toBe(true);
    expect(types()).toEqual(["slot.fired 02:01:00", "run.started", "pipeline.paused"]);
    await clock.advance(MINUTE_MS);
    expect(await desk.setPaused(true, BY)).toBe(false);
    expect(lines).toMatchObject([
      { type: "slot.skipped", because: "paused: asked for by cli:ann" },
      { type: "request.noted", requestId: "q1", because: "the pipeline is paused already" },
    ]);
    lines.length = 0;
    await clock.advance(MINUTE_MS);
    expect(await desk.setPaused(false, BY)).toBe(true);
    expect(types()).toEqual(["slot.skipped 02:03:00", "pipeline.resumed"]);
    expect(await desk.setPaused(false, BY)).toBe(false);
    expect(lines).toMatchObject([{ because: "the pipeline is not paused" }]);
  });

  it("for silence is noted only where it ends one that is over", async () => {
    const { clock, desk, lines } = await inForce();
    const until = iso(START + 1_000);
    expect(await desk.setSilence(null, BY)).toBe(false);
    expect(await desk.setSilence(until, BY)).toBe(true);
    expect(await desk.setSilence(null, BY)).toBe(true);
    expect(await desk.setSilence(until, { ...BY, because: "repairs" })).toBe(true);
    await clock.advance(999);
    expect(await desk.setSilence(until, BY)).toBe(true);
    await clock.advance(1);
    // It ends at that moment.
    expect(await desk.setSilence(null, BY)).toBe(false);
    const noted = { type: "request.noted", requestId: "q1", because: "the pipeline is not silent" };
    expect(lines).toEqual([
      noted,
      { type: "pipeline.silenced", until, ...BY },
      { type: "pipeline.silenced", until: null, ...BY },
      { type: "pipeline.silenced", until, ...BY, because: "repairs" },
      { type: "pipeline.silenced", until, ...BY },
      noted,
    ]);
  });
});

describe("a clock that goes back", () => {
  it("has a line, and slots that lie ahead again are decided again", async () => {
    const { desk, lines, said, state } = await inForce();
    const to = START - 5 * MINUTE_MS;
    await desk.stepBack({ from: START, to });
    expect(lines).toEqual([
      {
        type: "clock.stepped",
        from: iso(START),
        to: iso(to),
        through: iso(to),
        because: "the clock went back: what fired stays so, the rest is decided anew",
      },
    ]);
    expect(said()).toEqual(["next 01:56:00"]);
    expect(state.through).toBe(to);
  });

  it("far says which slots fired that it comes to again, also those forgotten", async () => {
    const { desk, lines, state, store } = await inForce();
    const at = [1, 2, 3].map((n) => iso(START - n * MINUTE_MS)).toReversed();
    const fired = at.map((slot) => ({ type: "slot.fired", slot, run: "r", because: "x" }));
    writePipeline(store.runsDir, "p", [{ type: "pipeline.loaded" }, ...fired]);
    Object.assign(state, { recentlyFired: new RecentlyFired(1) });
    for (const slot of at) state.recentlyFired.add(slot);
    await desk.stepBack({ from: START, to: START - 2 * MINUTE_MS });
    expect(lines).toMatchObject([{ type: "clock.stepped", fired: packSlots([at[2]!]) }]);
    await desk.stepBack({ from: START - 2 * MINUTE_MS, to: START - 9 * MINUTE_MS });
    expect(lines[1]).toMatchObject({ fired: packSlots(at) });
  });

  it("to a moment that was reached, and no further, changes nothing", async () => {
    const { desk, lines, said } = await inForce();
    await desk.stepBack({ from: START + 1_000, to: START });
    expect([lines, said()]).toEqual([[], ["next 02:01:00"]]);
    const none = rig();
    await none.desk.stepBack({ from: START, to: 0 });
    expect([none.lines, none.said()]).toEqual([[], ["next never"]]);
  });
});

describe("slots that are due", () => {
  it("are decided in one turn after another, however often that is asked", async () => {
    const { clock, desk, types, world } = await inForce();
    let go!: () => void;
    world.held = new Promise((resolve) => (go = resolve));
    await clock.advance(61_000);
    for (let n = 0; n < 3; n += 1) desk.decide();
    await clock.advance(MINUTE_MS);
    desk.decide();
    go();
    await desk.settled();
    expect(types().filter((type) => type.startsWith("slot"))).toEqual([
      "slot.fired 02:01:00",
      "slot.fired 02:02:00",
    ]);
  });

  it("while others are written are decided after those", async () => {
    const { clock, desk, types, world } = await inForce();
    const gates: (() => void)[] = [];
    const hold = (): void => void (world.held = new Promise((resolve) => void gates.push(resolve)));
    hold();
    await clock.advance(61_000);
    desk.decide();
    desk.decide();
    await clock.advance(MINUTE_MS);
    gates[0]!();
    hold();
    await clock.settle();
    // The second one waits for its lines now.
    await clock.advance(MINUTE_MS);
    desk.decide();
    gates[1]!();
    await desk.settled();
    const slots = types().filter((type) => type.startsWith("slot"));
    expect(slots).toEqual([1, 2, 3].map((minute) => `slot.fired 02:0${minute}:00`));
  });

  it("whose lines cannot be written may be missing: the next daemon has to look", async () => {
    const { clock, desk, end, said, world } = await inForce();
    expect(desk.closed).toMatchObject({ pipeline: "p", end });
    await clock.advance(61_000);
    world.fault = new Error("the disk is gone");
    said();
    desk.decide();
    await desk.settled();
    expect(said()).toContain("slots could not be decided");
    expect(desk.closed).toBeUndefined();
  });

  it("are decided before the ledger is closed", async () => {
    const { clock, desk, said, types, world } = await inForce();
    let go!: () => void;
    world.held = new Promise((resolve) => (go = resolve));
    await clock.advance(61_000);
    said();
    desk.decide();
    const closing = desk.close();
    await clock.settle();
    expect(said()).not.toContain("close");
    go();
    await closing;
    expect(said()).toContain("close");
    expect(types()).toEqual(["slot.fired 02:01:00", "run.started"]);
  });
});

it("a run that could not be made may lack its line", async () => {
  const { desk, world } = await inForce();
  world.makeFault = new LedgerExists("/x");
  const run = "p@20261123T020000.000Z-m";
  const header = { run, trigger: { kind: "manual" }, snapshot: { gracePeriodMs: 5 } };
  const ticket = { ...desk.queueTerms(), run, kind: "manual", order: 0 };
  await expect(desk.makeRun(header as never, ticket as never)).rejects.toBe(world.makeFault);
  expect(desk.closed).toBeUndefined();
});

describe("a look at a pipeline", () => {
  const finished = { type: "run.finished", status: "completed", durationMs: 1, because: "x" };
  const GONE = /^the folder .*2026-11 was removed or replaced; the ledgers of the finished runs/;
  async function withRun(run: string): Promise<Rig> {
    const there = await inForce();
    await there.desk.append([{ ...finished, run } as never]);
    mkdirSync(there.store.runDir(run), { recursive: true });
    there.desk.look();
    expect(there.said()).toEqual(["look"]);
    return there;
  }

  it("tells once that the folder of its last run went, or is another one", async () => {
    const run = "p@20261123T020000Z";
    const { desk, said, store } = await withRun(run);
    desk.look();
    expect(said()).toEqual(["look"]);
    rmSync(store.runDir(run), { recursive: true });
    desk.look();
    expect(said()).toEqual(["look", expect.stringMatching(GONE)]);
    desk.look();
    mkdirSync(store.runDir(run));
    desk.look();
    desk.look();
    expect(said()).toEqual(["look", "look", "look"]);
  });

  it("tells nothing where the last run is of another month", async () => {
    const { desk, said, store } = await withRun("p@20261123T020000Z");
    const next = "p@20261201T000000Z";
    mkdirSync(store.runDir(next), { recursive: true });
    await desk.append([{ ...finished, run: next } as never]);
    desk.look();
    expect(said()).toEqual(["look"]);
  });
});

describe("very many slots that were missed", () => {
  /** Six hours pass unseen: 360 slots, of which the newest runs. */
  async function missed(): Promise<Rig & { first: Promise<void>; go: () => void }> {
    const there = await inForce();
    let go!: () => void;
    there.world.held = new Promise((resolve) => (go = resolve));
    there.clock.step(6 * 3_600_000);
    there.desk.decide();
    return { ...there, first: there.clock.settle(), go };
  }
  const slotsOf = (lines: readonly PipelineEvent[]): string[] =>
    lines.flatMap((line) => ("slot" in line ? [String(line.slot)] : []));
  const all = Array.from({ length: 360 }, (_, n) => iso(START + (n + 1) * MINUTE_MS));

  it("are recorded in steps, and the pipeline is behind until then", async () => {
    const { desk, lines, first, go } = await missed();
    await first;
    expect([desk.isBehind, lines.length]).toEqual([true, 0]);
    go();
    await desk.settled();
    expect([desk.isBehind, slotsOf(lines)]).toEqual([false, all]);
    expect(lines.map(({ type }) => type).filter((type) => type === "slot.caught_up")).toHaveLength(
      1,
    );
  });

  it("are left to the next daemon where this one ends, but for those of a step", async () => {
    const { desk, lines, first, go, world, state } = await missed();
    await first;
    world.goesOn = false;
    go();
    await desk.settled();
    const some = slotsOf(lines);
    expect(some).toEqual(all.slice(0, some.length));
    expect(some.length).toBeGreaterThanOrEqual(250);
    expect(some.length).toBeLessThan(360);
    expect(state.through).toBe(Date.parse(some.at(-1)!));
    // The next daemon does this.
    world.goesOn = true;
    desk.decide();
    await desk.settled();
    expect(slotsOf(lines)).toEqual(all);
  });

  it("come before a version that is put in force as the daemon ends", async () => {
    const { desk, lines, first, go, world } = await missed();
    await first;
    world.goesOn = false;
    const loaded = desk.load(pipelineOf("p", [hourly]));
    go();
    await loaded;
    expect(slotsOf(lines)).toEqual(all);
    expect(lines.findIndex(({ type }) => type === "pipeline.loaded")).toBeGreaterThan(
      lines.findLastIndex((line) => "slot" in line),
    );
  });

  it("are not due any more where the clock goes back, and are decided once they are", async () => {
    const { clock, desk, lines, first, go, said } = await missed();
    await first;
    clock.step(-6 * 3_600_000);
    go();
    await desk.settled();
    const some = slotsOf(lines);
    expect(some.length).toBeLessThan(360);
    expect(said().at(-1)).toBe(`next ${iso(Date.parse(some.at(-1)!) + MINUTE_MS).slice(11, 19)}`);
    clock.step(6 * 3_600_000);
    desk.decide();
    await desk.settled();
    expect(slotsOf(lines)).toEqual(all);
  });
});
