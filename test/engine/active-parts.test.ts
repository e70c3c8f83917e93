/** What active runs count, say and wait for: at a restart, a drain, an end that goes wrong. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { Limits } from "../../src/core/admission.ts";
import type { RunState } from "../../src/core/run-state.ts";
import { ActiveRuns, type ActiveRun, type RunTicket } from "../../src/engine/active-runs.ts";
import type { RunEnd } from "../../src/engine/ports.ts";
import { silentLog } from "../../src/log.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const END: RunEnd = { status: "completed", because: "it is over", durationMs: 1 };

/** A run whose every answer is the test's. */
class GivenHandle {
  readonly told: string[] = [];
  readonly limits: unknown[] = [];
  readonly state: RunState;
  end!: () => void;
  drained!: () => void;
  queueFails = false;
  readonly finished = new Promise<RunEnd>((resolve) => (this.end = () => resolve(END)));
  readonly #drain = new Promise<void>((resolve) => (this.drained = resolve));

  constructor(phase: "queued" | "started" = "queued") {
    this.state = { phase } as RunState;
  }
  start(because: string): void {
    this.told.push(`start: ${because}`);
  }
  queue(because: string, limits: unknown): Promise<void> {
    this.told.push(`queue: ${because}`);
    this.limits.push(limits);
    return this.queueFails ? Promise.reject(new Error("no disk")) : Promise.resolve();
  }
  requestStop(): Promise<{ accepted: true }> {
    return Promise.resolve({ accepted: true });
  }
  drain(periodMs: number): Promise<void> {
    this.told.push(`drain ${periodMs}`);
    return this.#drain;
  }
}

class World {
  readonly clock = new VirtualClock();
  readonly said: [object, string][] = [];
  readonly started: string[] = [];
  readonly ended: string[] = [];
  onFinished: () => Promise<void> = () => Promise.resolve();
  readonly runs: ActiveRuns;

  constructor(limits: Limits = { groups: {} }, holding = false) {
    this.runs = new ActiveRuns({
      clock: this.clock,
      log: { ...silentLog, error: (fields, text) => void this.said.push([fields, text]) },
      limits,
      holding,
      handlers: {
        onStarted: ({ ticket }) => void this.started.push(ticket.run),
        onFinished: async ({ ticket }) => {
          this.ended.push(ticket.run);
          await this.onFinished();
        },
      },
    });
  }

  ticket(run: string, more: Partial<RunTicket> = {}): RunTicket {
    return {
      run,
      pipeline: "p",
      lane: "p",
      limit: 1,
      priority: 0,
      order: 1,
      kind: "schedule",
      gracePeriodMs: 1,
      ...more,
    };
  }

  add(run: string, more: Partial<RunTicket> = {}): { entry: ActiveRun; handle: GivenHandle } {
    const entry = this.runs.reserve(this.ticket(run, more), "its slot was due");
    const handle = new GivenHandle();
    this.runs.attach(entry, handle);
    this.runs.record(entry);
    return { entry, handle };
  }

  take(run: string, phase: "queued" | "started", more: Partial<RunTicket> = {}): GivenHandle {
    const handle = new GivenHandle(phase);
    const ticket = this.ticket(run, more);
    this.runs.record(this.runs.takeOver(ticket, handle));
    return handle;
  }
}

const turns = async (): Promise<void> => {
  for (let n = 0; n < 4; n += 1) await nextTurn();
};

describe("runs of an earlier daemon", () => {
  it("go on or wait, each with the reason, once the limits are known", async () => {
    const world = new World({ groups: {} }, true);
    const went = world.take("went", "started");
    const waited = world.take("waited", "queued");
    const fresh = world.add("fresh", { lane: "q" });
    expect([went.told, waited.told, fresh.handle.told]).toEqual([
      [],
      [],
      ["queue: the daemon is not ready yet"],
    ]);
    expect(world.runs.mustWait(world.ticket("any", { lane: "r" }))).toBe(true);
    world.runs.release(() => ({ limit: 2 }));
    // What had started waits for its slots to be decided; what had not may start now.
    expect([went.told, waited.told]).toEqual([
      [],
      ["start: its turn came: the daemon was restarted before its turn came"],
    ]);
    world.runs.goOn();
    world.runs.goOn();
    expect(went.told).toEqual(["start: it was running when the daemon ended"]);
    expect(fresh.handle.told.at(-1)).toBe("start: its turn came: the daemon is not ready yet");
    await turns();
    expect(world.started.toSorted()).toEqual(["fresh", "waited"]);
  });

  it("are counted once where the limits are told twice, a backfill's by its own", async () => {
    const world = new World({ groups: { db: 1 } }, true);
    const first = world.take("first", "started", { group: "db" });
    world.take("back", "started", { backfill: "b", lane: "b", limit: 7 });
    const next = world.take("next", "queued");
    for (let n = 0; n < 2; n += 1) world.runs.release(() => ({ limit: 1, lane: "p" }));
    expect(world.runs.get("back")!.ticket).toMatchObject({ lane: "b", limit: 7 });
    expect(next.told).toEqual([]);
    first.end();
    await turns();
    expect(next.told).toEqual([
      "start: its turn came: the daemon was restarted before its turn came",
    ]);
    expect(world.runs.mustWait(world.ticket("x", { lane: "x", group: "db" }))).toBe(false);
  });

  it("count once among all runs where the limits are told twice", () => {
    const world = new World({ groups: {}, maxActiveRuns: 2 }, true);
    world.take("first", "started");
    for (let n = 0; n < 2; n += 1) world.runs.release(() => ({}));
    expect(world.runs.mustWait(world.ticket("second", { lane: "q" }))).toBe(false);
    world.add("second", { lane: "q" });
    expect(world.runs.mustWait(world.ticket("third", { lane: "r" }))).toBe(true);
  });

  it("that end before they go on are not started", async () => {
    const world = new World({ groups: {} }, true);
    const went = world.take("went", "started");
    world.runs.release(() => ({}));
    went.end();
    await turns();
    world.runs.goOn();
    expect(went.told).toEqual([]);
  });

  it("that are taken over late go on at once", () => {
    const world = new World();
    expect(world.take("late", "started").told).toHaveLength(1);
    expect(world.take("later", "queued", { lane: "q" }).told).toHaveLength(1);
  });
});

describe("a run that waits", () => {
  it("records the limits that it must fit under, and no others", () => {
    const world = new World({ groups: { db: 2 }, maxActiveRuns: 1 });
    world.add("first");
    const limitsOf = (more: Partial<RunTicket>): unknown =>
      world.add(`w${JSON.stringify(more)}`, more).handle.limits[0];
    expect(limitsOf({ limit: 3, group: "db" })).toEqual({ lane: 3, group: 2, total: 1 });
    expect(limitsOf({ limit: Number.POSITIVE_INFINITY, group: "none" })).toEqual({ total: 1 });
  });

  it("whose line cannot be written, or whose end, is told in the log", async () => {
    const world = new World({ groups: {}, maxActiveRuns: 0 });
    const entry = world.runs.reserve(world.ticket("a"), "");
    const handle = new GivenHandle();
    handle.queueFails = true;
    world.runs.attach(entry, handle);
    await turns();
    world.onFinished = () => Promise.reject(new Error("no disk"));
    handle.end();
    world.runs.record(entry);
    await turns();
    expect(world.said).toEqual([
      [{ run: "a", err: new Error("no disk") }, "a waiting run could not be recorded"],
      [{ run: "a", err: new Error("no disk") }, "the end of a run could not be recorded"],
    ]);
  });

  it("counts from its start once it starts", async () => {
    const world = new World();
    const first = world.add("first");
    const next = world.add("next");
    expect([first.entry.going, next.entry.going]).toEqual([true, false]);
    await world.clock.advance(5_000);
    first.handle.end();
    await turns();
    expect([first.entry.since, next.entry.since]).toEqual([0, 5_000]);
    expect(next.handle.told.at(-1)).toBe("start: its turn came: 1 of 1 runs of p go on");
  });
});

it("what has ended is gone from every count", async () => {
  const world = new World({ groups: { db: 1 } });
  const { handle } = world.add("a", { group: "db" });
  world.add("b", { group: "db", backfill: "r" });
  expect(world.runs.busy("p")).toEqual({ running: ["a"], queued: [] });
  expect([world.runs.waitingFor("db"), world.runs.ofBackfill("p", "r")]).toEqual([1, 1]);
  expect(world.runs.of("p").map(({ ticket }) => ticket.run)).toEqual(["a", "b"]);
  handle.end();
  await turns();
  expect(world.runs.busy("p")).toEqual({ running: [], queued: [] });
  expect([world.runs.waitingFor("db"), world.runs.get("a"), world.runs.size]).toEqual([
    0,
    undefined,
    1,
  ]);
  expect([...world.runs.ids()]).toEqual(["b"]);
});

it("an end waits for its line, and a drain for the ends that are under way", async () => {
  const world = new World();
  let finish: () => void = () => undefined;
  world.onFinished = () => new Promise((resolve) => (finish = resolve));
  const entry = world.runs.reserve(world.ticket("a"), "now");
  const handle = new GivenHandle("started");
  world.runs.attach(entry, handle);
  handle.end();
  await turns();
  expect(world.ended).toEqual([]);
  world.runs.record(entry);
  await turns();
  expect(world.ended).toEqual(["a"]);
  finish();

  const second = world.add("b");
  const waiting = world.add("c");
  let isDrained = false;
  const drain = world.runs.drain(7_000).then(() => (isDrained = true));
  await turns();
  expect([second.handle.told.at(-1), waiting.handle.told.at(-1)]).toEqual([
    "drain 7000",
    "drain 7000",
  ]);
  (second.handle.state as { phase: string }).phase = "finished";
  second.handle.end();
  second.handle.drained();
  waiting.handle.drained();
  await turns();
  // Its end is not recorded yet.
  expect([isDrained, waiting.handle.told.filter((what) => what.startsWith("start"))]).toEqual([
    false,
    [],
  ]);
  finish();
  await drain;
});
