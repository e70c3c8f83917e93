/** Which of the runs that wait starts next, with runs that end when the test says so. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it } from "vitest";
import type { RunState } from "../../src/core/run-state.ts";
import type { Limits } from "../../src/core/admission.ts";
import { ActiveRuns, type ActiveRun, type RunTicket } from "../../src/engine/active-runs.ts";
import type { RunEnd, RunHandle } from "../../src/engine/ports.ts";
import type { StopAnswer } from "../../src/core/stop-order.ts";
import { silentLog } from "../../src/log.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const END: RunEnd = { status: "completed", because: "it is over", durationMs: 1 };

/** A run of the test's own: what it was told, and how it ends. */
class OwnRun implements RunHandle {
  readonly state = { phase: "queued" } as RunState;
  readonly told: string[] = [];
  end!: (end?: RunEnd) => void;
  readonly finished = new Promise<RunEnd>((resolve) => (this.end = (end = END) => resolve(end)));

  start(): void {
    this.told.push("start");
  }
  /** Why it was queued. */
  because: string | undefined;
  queue(because: string): Promise<void> {
    this.told.push("queue");
    this.because = because;
    return Promise.resolve();
  }
  /** Why it refuses to stop. */
  refuses: string | undefined;
  requestStop({ mode }: { readonly mode: "graceful" | "force" }): Promise<StopAnswer> {
    this.told.push(mode);
    if (this.refuses !== undefined)
      return Promise.resolve({ accepted: false, reason: this.refuses });
    this.state.stop = { mode, by: "a test" };
    return Promise.resolve({ accepted: true });
  }
  drain(): Promise<void> {
    return Promise.resolve();
  }
}

function ticketOf(run: string, more: Partial<RunTicket> = {}): RunTicket {
  return {
    run,
    pipeline: "p",
    lane: run,
    limit: 1,
    priority: 0,
    order: 99,
    kind: "schedule",
    gracePeriodMs: 10_000,
    ...more,
  };
}

class World {
  readonly clock = new VirtualClock();
  readonly runs: ActiveRuns;
  readonly started: string[] = [];
  readonly warned: string[] = [];
  #order = 0;

  constructor(limits: Limits) {
    this.runs = new ActiveRuns({
      clock: this.clock,
      log: { ...silentLog, warn: (_, message) => void this.warned.push(message) },
      limits,
      handlers: {
        onStarted: (run) => void this.started.push(run.ticket.run),
        onFinished: () => Promise.resolve(),
      },
    });
  }

  /** A run asks for a place. */
  add(run: string, more: Partial<RunTicket> = {}): OwnRun & { readonly entry: ActiveRun } {
    const ticket = ticketOf(run, { order: (this.#order += 1), ...more });
    const handle = new OwnRun();
    const entry = this.runs.reserve(ticket, "its slot was due");
    this.runs.attach(entry, handle);
    this.runs.record(entry);
    return Object.assign(handle, { entry });
  }

  async end(run: OwnRun): Promise<void> {
    run.end();
    for (let turn = 0; turn < 3; turn += 1) await nextTurn();
  }
}

it("starts no run that was stopped while it waited; its end passes the place on", async () => {
  const world = new World({ groups: {}, maxActiveRuns: 1 });
  const [first, second, third] = ["a", "b", "c"].map((run) => world.add(run));
  await world.runs.stop("b", { mode: "graceful", by: "a test" });
  await world.end(first!);
  expect(second!.told).toEqual(["queue", "graceful"]);
  await world.end(second!);
  expect(third!.told).toEqual(["queue", "start"]);
  expect(world.started).toEqual(["c"]);
  expect(world.runs.size).toBe(1);
});

it("starts what waits by priority, then by slot, within each limit", async () => {
  const world = new World({ groups: { db: 1 }, maxActiveRuns: 2 });
  const a = world.add("a", { group: "db" });
  const b = world.add("b");
  const waiting = {
    late: world.add("late", { order: 50 }),
    grouped: world.add("grouped", { group: "db", priority: 9 }),
    early: world.add("early", { order: 40 }),
    urgent: world.add("urgent", { priority: 1, order: 60 }),
  };
  await world.end(b);
  expect(world.started).toEqual(["urgent"]);
  await world.end(waiting.urgent);
  expect(world.started).toEqual(["urgent", "early"]);
  await world.end(a);
  expect(world.started).toEqual(["urgent", "early", "grouped"]);
  expect(waiting.late.told).toEqual(["queue"]);
  world.runs.setLimits({ groups: { db: 1 }, maxActiveRuns: 3 });
  expect(waiting.late.told).toEqual(["queue", "start"]);
});

it("makes room by a graceful stop, by force after the grace period, and no sooner", async () => {
  const world = new World({ groups: {} });
  const [deaf, good] = [world.add("deaf"), world.add("good")];
  world.runs.makeRoom(["deaf", "good", "gone"], "graceful", "a newer slot is due", "newer");
  await nextTurn();
  await world.end(good);
  await world.clock.advance(9_999);
  expect([deaf.told, good.told]).toEqual([
    ["start", "graceful"],
    ["start", "graceful"],
  ]);
  await world.clock.advance(1);
  expect(deaf.told).toEqual(["start", "graceful", "force"]);
  await world.clock.advance(60_000);
  expect(good.told).toEqual(["start", "graceful"]);
  expect(world.clock.timers).toBe(0);
});

it("waits no more for the end by force of a run that has ended", async () => {
  const world = new World({ groups: {} });
  const good = world.add("good");
  world.runs.makeRoom(["good"], "graceful", "a newer slot is due", "newer");
  await nextTurn();
  expect(world.clock.timers).toBe(1);
  await world.end(good);
  expect(world.clock.timers).toBe(0);
});

it("leaves the reason of a run whose ledger is there: it has been written", async () => {
  const world = new World({ groups: {} });
  world.add("old", { lane: "p" }).refuses = "It cannot stop.";
  world.runs.makeRoom(["old"], "force", "a newer slot is due", "newer");
  const entry = world.runs.reserve(ticketOf("newer", { lane: "p" }), "", "run old still goes on");
  world.runs.attach(entry, new OwnRun());
  await nextTurn();
  expect(entry.because).toBe("run old still goes on");
  expect(world.warned).toHaveLength(1);
});

it("says why a run waits for one that cannot be stopped, and once in the log", async () => {
  const world = new World({ groups: {} });
  const old = world.add("old", { lane: "p" });
  old.refuses = "The orchestrator batch cannot stop a run.";
  for (const mode of ["graceful", "force"] as const) {
    world.runs.makeRoom(["old"], mode, "a newer slot is due", mode);
    const entry = world.runs.reserve(ticketOf(mode, { lane: "p" }), "", "run old still goes on");
    // Its ledger is made meanwhile.
    await nextTurn();
    const handle = new OwnRun();
    world.runs.attach(entry, handle);
    world.runs.record(entry);
    const because =
      "run old still goes on, and cannot be stopped: the orchestrator batch cannot stop a run";
    expect([handle.because, entry.because]).toEqual([because, because]);
  }
  await world.clock.advance(60_000);
  expect(old.told).toEqual(["start", "graceful", "force", "force"]);
  expect(world.warned).toEqual([
    "run old cannot be stopped to make room for graceful, which waits: " +
      "the orchestrator batch cannot stop a run",
  ]);
});

it("is silent where a run that makes room is being stopped already, or has ended", async () => {
  const world = new World({ groups: {} });
  const [old, gone] = [world.add("old", { lane: "p" }), world.add("gone", { lane: "q" })];
  world.runs.makeRoom(["old"], "graceful", "a newer slot is due", "newer");
  await nextTurn();
  old.refuses = "Run old is being stopped already; --force ends it at once.";
  gone.refuses = "Run gone has ended already: completed.";
  (gone.state as { finished?: unknown }).finished = { status: "completed" };
  world.runs.makeRoom(["old", "gone"], "graceful", "a newer slot is due", "newest");
  await nextTurn();
  expect(world.warned).toEqual([]);
});

it("tells of a taken-over run's end once its lines were given to the ledger", async () => {
  const ended: string[] = [];
  const runs = new ActiveRuns({
    clock: new VirtualClock(),
    log: silentLog,
    limits: { groups: {} },
    handlers: {
      onStarted: () => undefined,
      onFinished: (run) => Promise.resolve(void ended.push(run.ticket.run)),
    },
  });
  runs.release(() => ({}));
  const brief = new OwnRun();
  const entry = runs.takeOver(
    ticketOf("brief"),
    Object.assign(brief, { state: { phase: "started" } }),
  );
  brief.end();
  for (let turn = 0; turn < 5; turn += 1) await nextTurn();
  expect([brief.told, ended]).toEqual([["start"], []]);
  runs.record(entry);
  for (let turn = 0; turn < 5; turn += 1) await nextTurn();
  expect(ended).toEqual(["brief"]);
});

it("a run that waits says what the caller knows, else which limit is reached", () => {
  const world = new World({ groups: { db: 1 }, maxActiveRuns: 2 });
  const because = (more: Partial<RunTicket>, reason?: string): string | undefined => {
    const ticket = ticketOf(`r${Object.keys(more).join()}${reason ?? ""}`, { order: 9, ...more });
    return world.runs.reserve(ticket, "its slot was due", reason).because;
  };
  world.add("a", { group: "db" });
  expect(because({ group: "db" })).toBe('the concurrency group "db" is full: 1 of 1');
  expect(because({ group: "db" }, "run a still goes on; overlap is queue")).toBe(
    "run a still goes on; overlap is queue",
  );
  world.add("b");
  expect(because({})).toBe("2 runs go on, the most that orchd.yaml allows");
});

it("tells that a run started whose turn came once the line that it waits was given", async () => {
  const world = new World({ groups: {}, maxActiveRuns: 1 });
  const first = world.add("a");
  const entry = world.runs.reserve(ticketOf("b"), "its slot was due");
  const handle = new OwnRun();
  world.runs.attach(entry, handle);
  await world.end(first);
  expect([handle.told, world.started]).toEqual([["queue", "start"], []]);
  world.runs.record(entry);
  await nextTurn();
  expect(world.started).toEqual(["b"]);
});
